// Clearing, setting, scaling and checking of gradients.
#include "guarded.h"
#include "tensors.h"
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <vector>

extern "C" {

void g2d_free(char *message) { free(message); }

char *g2d_clear_grads(void *const *tensors, size_t count) {
  return guarded([&] {
    for (size_t i = 0; i < count; ++i)
      tensor_at(tensors, i).mutable_grad().reset();
  });
}

// Replaces the gradients of `tensors`. An undefined gradient resets. As autograd does, a gradient
// gets the strides of its parameter, which the fused optimizers require.
char *g2d_set_grads(void *const *tensors, void *const *gradients, size_t count) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    for (size_t i = 0; i < count; ++i) {
      const at::Tensor &tensor = tensor_at(tensors, i);
      at::Tensor gradient = tensor_at(gradients, i);
      if (gradient.defined()) {
        gradient = gradient.detach();
        if (gradient.strides() != tensor.strides())
          gradient = at::empty_like(tensor).copy_(gradient);
      }
      tensor.mutable_grad() = gradient;
    }
  });
}

// `found` becomes a new tensor, 1 if a gradient is not finite, else 0; null without gradients.
char *g2d_scale_grads(void *const *tensors, size_t count, double factor, void **found) {
  *found = nullptr;
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> gradients;
    for (size_t i = 0; i < count; ++i) {
      const at::Tensor &gradient = tensor_at(tensors, i).grad();
      if (gradient.defined())
        gradients.push_back(gradient.is_sparse() ? gradient._values() : gradient);
    }
    if (gradients.empty())
      return;
    // The check multiplies by a float, so a factor that is not a float is applied before it.
    const bool exact = static_cast<double>(static_cast<float>(factor)) == factor;
    if (!exact)
      at::_foreach_mul_(gradients, factor);
    const auto options = gradients[0].options().dtype(at::kFloat).layout(at::kStrided);
    at::Tensor bad = at::zeros({1}, options);
    const at::Tensor inverse = at::full({1}, exact ? factor : 1.0, options);
    at::_amp_foreach_non_finite_check_and_unscale_(gradients, bad, inverse);
    *found = new at::Tensor(bad.reshape({}));
  });
}
}
