// Fused optimizer steps: one call of libtorch's kernels for all parameters of a group.
#include "guarded.h"
#include "tensors.h"
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/as_strided.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <map>
#include <tuple>
#include <vector>

namespace {
using Tensors = std::vector<at::Tensor>;

// The memory of a tensor without gaps, as one dimension: the kernels update each element alone, and copy
// tensors of another layout than the contiguous one.
at::Tensor flat(const at::Tensor &tensor) {
  return tensor.as_strided({tensor.numel()}, {1});
}

// A state of a parameter, in whose memory layout it was made.
at::Tensor state_of(const at::Tensor &parameter, const at::Tensor &state) {
  TORCH_CHECK(state.strides() == parameter.strides(),
              "the memory layout of a parameter has changed since its first step, from strides ",
              state.strides(), " to ", parameter.strides(),
              ": call `weights::channels_last` before the optimizer is built");
  return flat(state);
}

// The gradient in the memory layout of its parameter.
at::Tensor gradient_of(const at::Tensor &parameter) {
  const at::Tensor &gradient = parameter.grad();
  TORCH_CHECK(gradient.layout() == at::kStrided, "sparse gradients are not supported");
  TORCH_CHECK(parameter.is_non_overlapping_and_dense(),
              "a parameter that is a view with gaps is not supported");
  if (gradient.strides() == parameter.strides() && gradient.dtype() == parameter.dtype())
    return gradient;
  return at::empty_like(parameter).copy_(gradient);
}

// The tensors of one device and dtype, since a kernel takes no others in one call.
struct Group {
  Tensors parameters, gradients, first, second, largest, steps;
};
using Groups = std::map<std::tuple<c10::DeviceType, c10::DeviceIndex, at::ScalarType>, Group>;

Group &group_of(Groups &groups, const at::Tensor &parameter) {
  const auto device = parameter.device();
  Group &group = groups[{device.type(), device.index(), parameter.scalar_type()}];
  group.gradients.push_back(flat(gradient_of(parameter))); // checks the parameter
  group.parameters.push_back(flat(parameter));
  return group;
}
} // namespace

extern "C" {

// One step of SGD. `momenta` is null without momentum. `fresh`: the momenta are new and are
// initialised with the gradients.
char *g2d_sgd(void *const *parameters, void *const *momenta, size_t count, double lr,
              double momentum, double dampening, double weight_decay, bool nesterov, bool fresh) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    Groups groups;
    for (size_t i = 0; i < count; ++i) {
      const at::Tensor &parameter = tensor_at(parameters, i);
      Group &group = group_of(groups, parameter);
      if (momenta)
        group.first.push_back(state_of(parameter, tensor_at(momenta, i)));
    }
    for (auto &[key, group] : groups)
      at::_fused_sgd_(group.parameters, group.gradients, group.first, weight_decay, momentum, lr,
                      dampening, nesterov, false, fresh);
  });
}

// One step of Adam, or of AdamW if `decoupled`. `largest` is null without AMSGrad. Increments
// `steps`.
char *g2d_adam(void *const *parameters, void *const *first, void *const *second,
               void *const *largest, void *const *steps, size_t count, double lr, double beta1,
               double beta2, double weight_decay, double eps, bool decoupled) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    Groups groups;
    for (size_t i = 0; i < count; ++i) {
      const at::Tensor &parameter = tensor_at(parameters, i);
      Group &group = group_of(groups, parameter);
      group.first.push_back(state_of(parameter, tensor_at(first, i)));
      group.second.push_back(state_of(parameter, tensor_at(second, i)));
      if (largest)
        group.largest.push_back(state_of(parameter, tensor_at(largest, i)));
      group.steps.push_back(tensor_at(steps, i));
    }
    for (auto &[key, group] : groups) {
      at::_foreach_add_(group.steps, 1);
      const auto update = [&](auto kernel) {
        kernel(group.parameters, group.gradients, group.first, group.second, group.largest,
               group.steps, lr, beta1, beta2, weight_decay, eps, largest != nullptr);
      };
      if (decoupled)
        update([](auto &&...given) { at::_fused_adamw_(given..., false); });
      else
        update([](auto &&...given) { at::_fused_adam_(given..., false); });
    }
  });
}

// Scales all gradients so that their joint norm is at most `limit`. `norm` becomes a new tensor,
// the norm before; null without gradients. Does not synchronise with the device.
char *g2d_clip_grad_norm(void *const *parameters, size_t count, double limit, void **norm) {
  *norm = nullptr;
  return guarded([&] {
    at::NoGradGuard no_grad;
    Tensors gradients;
    for (size_t i = 0; i < count; ++i)
      if (const at::Tensor &gradient = tensor_at(parameters, i).grad(); gradient.defined())
        gradients.push_back(gradient);
    if (gradients.empty())
      return;
    const auto device = gradients[0].device();
    Tensors norms = at::_foreach_norm(gradients);
    for (at::Tensor &each : norms)
      each = each.to(device);
    const at::Tensor total = at::linalg_vector_norm(at::stack(norms));
    const at::Tensor factor = total.add(1e-6).reciprocal().mul(limit).clamp_max(1.0);
    for (at::Tensor &gradient : gradients)
      gradient.mul_(factor.to(gradient.device()));
    *norm = new at::Tensor(total);
  });
}
}
