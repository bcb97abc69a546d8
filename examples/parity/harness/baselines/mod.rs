//! Golden cases of the baselines: official code of other methods, and derivations of it.
//!
//! - `case.rs`: the fields of a case; `network.rs`: its network and extra heads.
//! - `recorder.rs`: an optimizer that records the gradients that it gets.
//! - `tree.rs`: the comparison of two JSON values.
//! - The other files: how each method trains a case and which numbers it reports.

mod agm;
mod case;
mod dgl;
mod heads;
mod info_reg;
mod lfm;
mod mla;
mod network;
mod opm;
mod pmr;
mod recon_boost;
mod recorder;
pub mod tree;

use anyhow::{Result, bail};
use serde_json::Value;

use case::Case;

/// Whether the text of a file is a case of a baseline.
pub fn is_baseline(case: &Value) -> bool {
    case["method"].is_string()
}

/// Trains the case in the file with this stem; returns its numbers in the structure of the case.
pub fn run(case: &Value, stem: &str) -> Result<Value> {
    tch::set_num_threads(1);
    let case = Case::new(case, stem);
    match case.text("method")? {
        "AGM" if case.has("modalities") => agm::coefficients(&case),
        "AGM" => agm::train(&case),
        "PMR" => pmr::train(&case),
        "MLA" => mla::train(&case),
        "ReconBoost" => recon_boost::train(&case),
        "InfoReg" => info_reg::train(&case),
        "LFM" => lfm::train(&case),
        "OPM" => opm::train(&case),
        "DGL" => dgl::train(&case),
        "MMPareto" => heads::mmpareto(&case),
        "G-Blending" => heads::g_blending(&case),
        other => bail!("no method {other:?}"),
    }
}
