//! What κ does to gradients, under each `Suppression`.

mod skip_backward;
mod zero_gradient;
