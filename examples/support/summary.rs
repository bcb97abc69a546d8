//! The outcome: one table, one JSON file.

use std::{collections::BTreeMap, fmt};

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use g2d::Modality;
use serde::Serialize;

use super::methods::Method;

/// Accuracies are percentages on test data.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub seed: u64,
    pub teachers: BTreeMap<String, TeacherSummary>,
    pub methods: BTreeMap<String, MethodSummary>,
    #[serde(skip)]
    pub modalities: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct TeacherSummary {
    pub test_accuracy: f64,
    /// ρ over the training set.
    pub train_confidence: f64,
}

#[derive(Debug, Serialize)]
pub struct MethodSummary {
    pub test_accuracy: f64,
    /// On validation data, of the same weights.
    pub val_accuracy: f64,
    /// Of each modality's head alone.
    pub heads: BTreeMap<String, f64>,
    /// Mean κ of each encoder over all epochs.
    pub kappa: BTreeMap<String, f64>,
}

impl Summary {
    pub fn new(seed: u64, modalities: &[Modality]) -> Self {
        Self {
            seed,
            teachers: BTreeMap::new(),
            methods: BTreeMap::new(),
            modalities: modalities.iter().map(|m| m.name().to_owned()).collect(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(UTF8_BORDERS_ONLY);
        let heads = self.modalities.iter().map(|m| format!("{m} head"));
        let header = ["".to_owned(), "test accuracy %".to_owned()].into_iter().chain(heads);
        table.set_header(header.chain(["ρ on training data".to_owned()]));
        for modality in &self.modalities {
            if let Some(teacher) = self.teachers.get(modality) {
                let mut row =
                    vec![format!("teacher {modality}"), format!("{:.1}", teacher.test_accuracy)];
                row.resize(2 + self.modalities.len(), String::new());
                row.push(format!("{:.3}", teacher.train_confidence));
                table.add_row(row);
            }
        }
        for method in Method::ALL {
            if let Some(found) = self.methods.get(method.key()) {
                let mut row = vec![method.to_string(), format!("{:.1}", found.test_accuracy)];
                let head = |m| found.heads.get(m).map_or_else(String::new, |a| format!("{a:.1}"));
                row.extend(self.modalities.iter().map(head));
                table.add_row(row);
            }
        }
        write!(f, "{table}")
    }
}
