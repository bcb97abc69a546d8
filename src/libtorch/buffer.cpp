// Copies of tensors, and the check that they are finite, in one call for all tensors.
#include "guarded.h"
#include "tensors.h"
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <map>
#include <utility>
#include <vector>

extern "C" {

// Copies the contents of `from` to `to`, whose memory is reused where it fits. An undefined tensor of
// `to` becomes a new one.
char *g2d_copy(void *const *to, void *const *from, size_t count) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> copies, originals;
    for (size_t i = 0; i < count; ++i) {
      at::Tensor &copy = tensor_at(to, i);
      const at::Tensor original = tensor_at(from, i).variable_data();
      if (!copy.defined() || copy.sizes() != original.sizes() ||
          copy.dtype() != original.dtype() || copy.device() != original.device())
        copy = at::empty_like(original);
      copies.push_back(copy);
      originals.push_back(original);
    }
    if (!copies.empty())
      at::_foreach_copy_(copies, originals);
  });
}

// `found` becomes a new scalar, above 0 if a floating-point tensor is not finite, else 0; null without
// such tensors. Does not synchronise with the device.
char *g2d_any_not_finite(void *const *tensors, size_t count, void **found) {
  *found = nullptr;
  return guarded([&] {
    at::NoGradGuard no_grad;
    // The kernel takes tensors of one device.
    std::map<std::pair<c10::DeviceType, c10::DeviceIndex>, std::vector<at::Tensor>> groups;
    for (size_t i = 0; i < count; ++i) {
      const at::Tensor &tensor = tensor_at(tensors, i);
      if (!at::isFloatingType(tensor.scalar_type()))
        continue;
      // The kernel multiplies in place, here by 1. This handle has a version counter of its own, so
      // that a graph that has saved the tensor stays valid.
      const auto device = tensor.device();
      groups[{device.type(), device.index()}].push_back(tensor.variable_data());
    }
    at::Tensor sum;
    for (auto &[device, group] : groups) {
      const auto options = group[0].options().dtype(at::kFloat).layout(at::kStrided);
      at::Tensor bad = at::zeros({1}, options);
      at::_amp_foreach_non_finite_check_and_unscale_(group, bad, at::full({1}, 1.0, options));
      sum = sum.defined() ? sum.add(bad.to(sum.device())) : bad;
    }
    if (sum.defined())
      *found = new at::Tensor(sum.reshape({}));
  });
}
}
