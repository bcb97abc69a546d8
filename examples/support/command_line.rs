//! Parsing of command lines.

use clap::{CommandFactory, FromArgMatches};
use serde::de::DeserializeOwned;
use tch::Device;

/// Parses the command line, with other default values than those declared: `(flag, value)`.
pub fn parse<A: CommandFactory + FromArgMatches>(defaults: &[(&'static str, &'static str)]) -> A {
    let command = defaults.iter().fold(A::command(), |command, &(flag, value)| {
        command.mut_arg(flag, |arg| arg.default_value(value))
    });
    A::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

/// Parses a choice by its name in configuration files.
pub fn choice<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}

/// Parses `cpu`, `cuda` or `cuda:N`.
pub fn device(text: &str) -> Result<Device, String> {
    match text.split_once(':').unwrap_or((text, "0")) {
        ("cpu", _) => Ok(Device::Cpu),
        ("cuda", index) => index.parse().map(Device::Cuda).map_err(|e| format!("{text}: {e}")),
        _ => Err(format!("{text:?}: expected cpu, cuda or cuda:N")),
    }
}
