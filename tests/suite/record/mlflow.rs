//! The recorder of the example `mlflow`, against a server in this process.

#[path = "../../../examples/mlflow/recorder.rs"]
mod recorder;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    thread::JoinHandle,
};

use g2d::{
    Error,
    record::{Recorder as _, Recorders},
};
use serde_json::{Value, json};

use super::{epoch, info, metrics, outcome, step_row};
use recorder::MlFlow;

/// A server that answers `replies` requests like MLflow, and returns their paths and bodies.
fn server(replies: usize, status: &'static str) -> (String, JoinHandle<Vec<(String, Value)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serve = move || {
        let mut requests = Vec::new();
        while requests.len() < replies {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let (mut length, mut chunked) = (0, false);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(bytes) = line.strip_prefix("content-length:") {
                    length = bytes.trim().parse().unwrap();
                }
                chunked |= line == "transfer-encoding: chunked";
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            while chunked {
                let mut size = String::new();
                reader.read_line(&mut size).unwrap();
                let mut part = vec![0; usize::from_str_radix(size.trim(), 16).unwrap() + 2];
                reader.read_exact(&mut part).unwrap();
                chunked = part.len() > 2;
                body.extend_from_slice(&part[..part.len() - 2]);
            }
            let path = first.split(' ').nth(1).unwrap().to_owned();
            requests.push((path, serde_json::from_slice(&body).unwrap()));
            let reply = r#"{"run": {"info": {"run_id": "abc"}}}"#;
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", reply.len());
            write!(reader.get_mut(), "{head}connection: close\r\n\r\n{reply}").unwrap();
        }
        requests
    };
    (url, std::thread::spawn(serve))
}

#[test]
fn a_run_arrives_at_the_server_with_parameters_metrics_steps_and_diagnosis() {
    let (url, server) = server(7, "200 OK");
    let mut recorders = Recorders::new().with(MlFlow::new(&url));
    recorders.begin(&info("a run"));
    let mut own = MlFlow::new(&url);
    own.step_row(&step_row(4)).unwrap();
    let mut diverged = metrics(0);
    diverged.push(("val_nll".to_owned(), f64::NAN));
    recorders.epoch(&epoch(0), &diverged);
    recorders.finish(&outcome());
    assert!(recorders.failures().is_empty(), "{:?}", recorders.failures());
    let requests = server.join().unwrap();
    let paths: Vec<&str> =
        requests.iter().map(|(path, _)| path.rsplit('/').next().unwrap()).collect();
    let expected =
        ["create", "log-batch", "log-batch", "log-batch", "log-batch", "set-tag", "update"];
    assert_eq!(paths, expected);
    assert!(requests.iter().all(|(path, _)| path.starts_with("/api/2.0/mlflow/runs/")));
    assert_eq!(requests[0].1["run_name"], "a run");
    let parameters = requests[1].1["params"].as_array().unwrap();
    assert!(parameters.contains(&json!({"key": "optimizer.lr", "value": "0.125"})));
    assert!(parameters.contains(&json!({"key": "optimizer.name", "value": "sgd"})));
    assert_eq!(requests[1].1["run_id"], "abc");
    let metric = |request: usize, key: &str| {
        let metrics = requests[request].1["metrics"].as_array().unwrap();
        let found = metrics.iter().find(|one| one["key"] == key);
        found.map(|one| (one["step"].as_u64().unwrap(), one["value"].as_f64().unwrap()))
    };
    assert_eq!(metric(2, "step/gradient_norm"), Some((5, 6.0)));
    assert_eq!(metric(2, "step/lr/head"), Some((5, 0.25)));
    assert_eq!(metric(2, "step/kappa/video"), Some((5, 0.5)));
    assert_eq!(metric(3, "val_accuracy"), Some((0, 50.5)));
    assert_eq!(metric(3, "kappa/audio"), Some((0, 1.0)));
    assert_eq!(metric(3, "val_nll"), None, "not finite");
    assert_eq!(metric(4, "test_accuracy"), Some((0, 53.375)));
    assert!(requests[5].1["value"].as_str().unwrap().contains("The video encoder is suppressed"));
    assert_eq!(requests[6].1["status"], "FINISHED");
}

#[test]
fn a_server_that_refuses_a_request_is_an_error_with_its_address() {
    let (url, server) = server(1, "500 Internal Server Error");
    let error = MlFlow::new(&url).begin(&info("a run")).unwrap_err();
    server.join().unwrap();
    let message = error.to_string();
    assert!(matches!(error, Error::Io { .. }));
    assert!(message.contains("runs/create") && message.contains("post to MLflow"), "{message}");
}
