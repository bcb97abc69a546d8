//! The effect of κ on gradients, under each `Suppression`.

mod cached;
mod skip_backward;
mod zero_gradient;
