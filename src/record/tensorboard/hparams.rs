//! The values of TensorBoard's hparams plugin: hyper-parameters and status of a run.

use prost::Message as _;
use serde_json::Value as Json;

use super::{
    file::now,
    message::{HParam, HParamValue, HParamsData, Plugin, Session, SessionEnd, SessionStart, Value},
};
use crate::record::RunInfo;

/// The start of a run, with its flat configuration; arrays become JSON text.
pub(super) fn start(info: &RunInfo) -> Value {
    let hparams = info.flat_config().into_iter().filter_map(|(name, value)| {
        let value = match value {
            Json::Null => return None,
            Json::Number(number) => HParamValue::Number(number.as_f64().unwrap_or(f64::NAN)),
            Json::Bool(flag) => HParamValue::Bool(*flag),
            Json::String(text) => HParamValue::Text(text.clone()),
            Json::Array(_) | Json::Object(_) => HParamValue::Text(value.to_string()),
        };
        Some((name, HParam { value: Some(value) }))
    });
    let session = SessionStart {
        hparams: hparams.collect(),
        group_name: info.name.clone(),
        start_time_secs: now(),
    };
    value("_hparams_/session_start_info", Session::Start(session))
}

/// The end of a successful run.
pub(super) fn end() -> Value {
    let session = SessionEnd { status: 1, end_time_secs: now() };
    value("_hparams_/session_end_info", Session::End(session))
}

fn value(tag: &str, session: Session) -> Value {
    let data = HParamsData { version: 0, session: Some(session) };
    let plugin = Plugin { name: "hparams".to_owned(), content: data.encode_to_vec() };
    Value::from_plugin(tag, plugin)
}
