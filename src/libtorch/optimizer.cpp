// One fused pass over all parameters of a group: libtorch's kernels for the two families of rules.
#include "guarded.h"
#include "tensors.h"
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <map>
#include <vector>

namespace {
using Tensors = std::vector<at::Tensor>;

// The gradient, laid out as its parameter: the kernels walk over both as flat memory.
at::Tensor gradient_of(const at::Tensor &parameter) {
  const at::Tensor &gradient = parameter.grad();
  TORCH_CHECK(gradient.layout() == at::kStrided, "sparse gradients are not supported");
  TORCH_CHECK(parameter.is_non_overlapping_and_dense(),
              "a parameter that is a view with gaps is not supported");
  if (gradient.strides() == parameter.strides() && gradient.dtype() == parameter.dtype())
    return gradient;
  return at::empty_like(parameter).copy_(gradient);
}

// The kernels want one device and one kind in a call.
struct Group {
  Tensors parameters, gradients, first, second, largest, steps;
};
using Groups = std::map<std::pair<c10::Device, at::ScalarType>, Group,
                        bool (*)(const std::pair<c10::Device, at::ScalarType> &,
                                 const std::pair<c10::Device, at::ScalarType> &)>;

bool before(const std::pair<c10::Device, at::ScalarType> &a,
            const std::pair<c10::Device, at::ScalarType> &b) {
  const auto key = [](const std::pair<c10::Device, at::ScalarType> &of) {
    return std::make_tuple(static_cast<int>(of.first.type()), static_cast<int>(of.first.index()),
                           static_cast<int>(of.second));
  };
  return key(a) < key(b);
}

Group &group_of(Groups &groups, const at::Tensor &parameter) {
  Group &group = groups[{parameter.device(), parameter.scalar_type()}];
  group.parameters.push_back(parameter);
  group.gradients.push_back(gradient_of(parameter));
  return group;
}
} // namespace

extern "C" {

// `momenta` is null without momentum; `fresh` says that they were made for this step.
char *g2d_sgd(void *const *parameters, void *const *momenta, size_t count, double lr,
              double momentum, double dampening, double weight_decay, bool nesterov, bool fresh) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    Groups groups(before);
    for (size_t i = 0; i < count; ++i) {
      Group &group = group_of(groups, at_place(parameters, i));
      if (momenta)
        group.first.push_back(at_place(momenta, i));
    }
    for (auto &[key, group] : groups)
      at::_fused_sgd_(group.parameters, group.gradients, group.first, weight_decay, momentum, lr,
                      dampening, nesterov, false, fresh);
  });
}

// `largest` is null without AMSGrad. The steps count this one afterwards.
char *g2d_adam(void *const *parameters, void *const *first, void *const *second,
               void *const *largest, void *const *steps, size_t count, double lr, double beta1,
               double beta2, double weight_decay, double eps, bool decoupled) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    Groups groups(before);
    for (size_t i = 0; i < count; ++i) {
      Group &group = group_of(groups, at_place(parameters, i));
      group.first.push_back(at_place(first, i));
      group.second.push_back(at_place(second, i));
      if (largest)
        group.largest.push_back(at_place(largest, i));
      group.steps.push_back(at_place(steps, i));
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

// Scales all gradients so that their norm is `limit` at most; `norm` becomes what it was, a new
// tensor, or null where no gradient is defined. Waits for nothing.
char *g2d_clip_grad_norm(void *const *parameters, size_t count, double limit, void **norm) {
  *norm = nullptr;
  return guarded([&] {
    at::NoGradGuard no_grad;
    Tensors gradients;
    for (size_t i = 0; i < count; ++i)
      if (const at::Tensor &gradient = at_place(parameters, i).grad(); gradient.defined())
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
