// Small tensors in host memory, read and copied without libtorch's dispatcher, which takes longer than
// the work itself.
#include "guarded.h"
#include "tensors.h"
#include <ATen/EmptyTensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <algorithm>

namespace {

// Whether the elements of `tensor` are in host memory as they are, in the order of its strides.
bool is_plain(const at::Tensor &tensor) {
  return tensor.device().is_cpu() && tensor.layout() == at::kStrided && tensor.has_storage() &&
         !tensor.is_neg() && !tensor.is_conj() && !tensor._is_zerotensor();
}

double number(const at::Tensor &tensor) {
  TORCH_CHECK(tensor.defined() && tensor.dim() == 0, "a scalar was expected");
  if (is_plain(tensor) && tensor.scalar_type() == at::kFloat)
    return *tensor.const_data_ptr<float>();
  if (is_plain(tensor) && tensor.scalar_type() == at::kDouble)
    return *tensor.const_data_ptr<double>();
  return tensor.item().toDouble();
}

at::Tensor select_of(const at::Tensor &tensor, const int64_t *rows, size_t count) {
  const auto n = static_cast<int64_t>(count);
  if (!is_plain(tensor) || !tensor.is_contiguous() || tensor.dim() == 0)
    return at::index_select(tensor, 0, at::from_blob(const_cast<int64_t *>(rows), {n}, at::kLong));
  auto size = tensor.sizes().vec();
  const int64_t available = size[0];
  size[0] = n;
  at::Tensor selected = at::detail::empty_cpu(size, tensor.options());
  const size_t bytes = n == 0 ? 0 : selected.nbytes() / n;
  const auto *from = static_cast<const char *>(tensor.const_data_ptr());
  auto *to = static_cast<char *>(selected.mutable_data_ptr());
  for (int64_t i = 0; i < n; ++i) {
    TORCH_CHECK(0 <= rows[i] && rows[i] < available, "row ", rows[i], " of ", available);
    memcpy(to + i * bytes, from + rows[i] * bytes, bytes);
  }
  return selected;
}

} // namespace

extern "C" {

// The numbers of `count` scalars.
char *g2d_numbers(void *const *tensors, size_t count, double *numbers) {
  return guarded([&] {
    for (size_t i = 0; i < count; ++i)
      numbers[i] = number(tensor_at(tensors, i));
  });
}

// Copies the `count` elements of an Int64 tensor.
char *g2d_integers(void *tensor, int64_t *to, size_t count) {
  return guarded([&] {
    const auto from = static_cast<at::Tensor *>(tensor)->contiguous();
    TORCH_CHECK(is_plain(from) && static_cast<size_t>(from.numel()) == count, "elements expected");
    const int64_t *elements = from.const_data_ptr<int64_t>();
    std::copy(elements, elements + count, to);
  });
}

// `selected` becomes a new tensor of the given rows of a tensor [N, …].
char *g2d_select_rows(void *tensor, const int64_t *rows, size_t count, void **selected) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    *selected = new at::Tensor(select_of(*static_cast<at::Tensor *>(tensor), rows, count));
  });
}

// `detached` becomes a new handle on the elements of `tensor` without its graph, and with a version
// counter of its own.
char *g2d_detach(void *tensor, void **detached) {
  return guarded(
      [&] { *detached = new at::Tensor(static_cast<at::Tensor *>(tensor)->variable_data()); });
}
}
