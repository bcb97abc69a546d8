//! Protocol buffers: the used subset of tensorboard/compat/proto and tensorboard/plugins/hparams.

use std::collections::BTreeMap;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Event {
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(oneof = "EventData", tags = "3, 5, 7")]
    pub data: Option<EventData>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum EventData {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SessionLog {
    /// An enumeration; 1 is START.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<Metadata>,
    #[prost(oneof = "Content", tags = "2, 5, 8")]
    pub content: Option<Content>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Content {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "5")]
    Histogram(Histogram),
    #[prost(message, tag = "8")]
    Tensor(TextTensor),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Metadata {
    #[prost(message, optional, tag = "1")]
    pub plugin: Option<Plugin>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Plugin {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
}

/// HistogramProto: `bucket[i]` is the number of values in (`bucket_limit[i − 1]`, `bucket_limit[i]`].
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Histogram {
    #[prost(double, tag = "1")]
    pub min: f64,
    #[prost(double, tag = "2")]
    pub max: f64,
    #[prost(double, tag = "3")]
    pub num: f64,
    #[prost(double, tag = "4")]
    pub sum: f64,
    #[prost(double, tag = "5")]
    pub sum_squares: f64,
    #[prost(double, repeated, tag = "6")]
    pub bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    pub bucket: Vec<f64>,
}

/// TensorProto of one string.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TextTensor {
    /// DT_STRING.
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<ScalarShape>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    text: Vec<Vec<u8>>,
}

/// TensorShapeProto of a scalar.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ScalarShape {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HParamsData {
    #[prost(int32, tag = "1")]
    pub version: i32,
    #[prost(oneof = "Session", tags = "3, 4")]
    pub session: Option<Session>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Session {
    #[prost(message, tag = "3")]
    Start(SessionStart),
    #[prost(message, tag = "4")]
    End(SessionEnd),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    pub hparams: BTreeMap<String, HParam>,
    #[prost(string, tag = "4")]
    pub group_name: String,
    #[prost(double, tag = "5")]
    pub start_time_secs: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SessionEnd {
    /// An enumeration; 1 is STATUS_SUCCESS.
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(double, tag = "2")]
    pub end_time_secs: f64,
}

/// google.protobuf.Value.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HParam {
    #[prost(oneof = "HParamValue", tags = "2, 3, 4")]
    pub value: Option<HParamValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum HParamValue {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
}

impl Value {
    pub(super) fn scalar(tag: impl Into<String>, value: f64) -> Self {
        Self { tag: tag.into(), metadata: None, content: Some(Content::Scalar(value as f32)) }
    }

    pub(super) fn histogram(tag: String, histogram: Histogram) -> Self {
        Self { tag, metadata: None, content: Some(Content::Histogram(histogram)) }
    }

    /// A text in Markdown.
    pub(super) fn text(tag: &str, text: String) -> Self {
        let content = TextTensor { dtype: 7, shape: Some(ScalarShape {}), text: vec![text.into()] };
        let plugin = Plugin { name: "text".to_owned(), content: Vec::new() };
        Self { content: Some(Content::Tensor(content)), ..Self::from_plugin(tag, plugin) }
    }

    /// A value that has only plugin data.
    pub(super) fn from_plugin(tag: &str, plugin: Plugin) -> Self {
        let metadata = Some(Metadata { plugin: Some(plugin) });
        Self { tag: tag.to_owned(), metadata, content: None }
    }
}
