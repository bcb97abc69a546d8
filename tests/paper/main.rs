//! Tests of `g2d::paper` in one binary, so that libtorch is linked once.
//!
//! - `networks/`: the authors' classifiers, and networks over images, tables and sequences.
//! - `data/`: readers of data sets, decoding, augmentation.
//! - `baselines.rs`: OGM and OGM-GE.
//! - `fixtures/`: `tone.mp3`, half a second of 440 Hz at amplitude 0.5 and 22,050 Hz mono, encoded
//!   by LAME; `samples.xlsx`, written by `make.py`; `cells.xlsx`, written by `make_cells.py`;
//!   `dates.xlsx`, `leading_rows.xlsx` and `title_above.xlsx`, written by openpyxl.
#![cfg(feature = "paper")]

mod baselines;
mod data;
mod networks;
#[path = "../support/mod.rs"]
mod support;
