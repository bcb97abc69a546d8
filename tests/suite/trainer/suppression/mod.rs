//! The effect of κ on gradients, under each `Suppression`.

mod skip_backward;
mod zero_gradient;
