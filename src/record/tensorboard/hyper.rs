//! Hyper-parameters, for TensorBoard's HPARAMS page.

use std::collections::BTreeMap;

use prost::Message as _;
use serde_json::Value as Json;

use super::{
    file::now,
    message::{
        HParam, HParamValue, HParamsData, Plugin, Session, SessionEnd, SessionStart, SessionStatus,
        Value,
    },
};
use crate::record::RunInfo;

/// The run's configuration, flat: `optimizer.lr` for what is nested, JSON text for lists.
pub(super) fn start(info: &RunInfo) -> Value {
    let mut hparams = BTreeMap::new();
    flatten("", &info.config, &mut hparams);
    let session = SessionStart { hparams, group_name: info.name.clone(), start_time_secs: now() };
    value("_hparams_/session_start_info", Session::Start(session))
}

/// The run's end.
pub(super) fn end(status: SessionStatus) -> Value {
    let session = SessionEnd { status: status.into(), end_time_secs: now() };
    value("_hparams_/session_end_info", Session::End(session))
}

fn value(tag: &str, session: Session) -> Value {
    let data = HParamsData { version: 0, session: Some(session) };
    Value::of_plugin(tag, Plugin { name: "hparams".to_owned(), content: data.encode_to_vec() })
}

fn flatten(path: &str, config: &Json, into: &mut BTreeMap<String, HParam>) {
    let value = match config {
        Json::Null => return,
        Json::Object(fields) => {
            for (name, field) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, field, into);
            }
            return;
        }
        Json::Number(number) => HParamValue::Number(number.as_f64().unwrap_or(f64::NAN)),
        Json::Bool(yes) => HParamValue::Bool(*yes),
        Json::String(text) => HParamValue::Text(text.clone()),
        Json::Array(_) => HParamValue::Text(config.to_string()),
    };
    into.insert(path.to_owned(), HParam { value: Some(value) });
}
