// Gradients: what tch cannot do to them.
#include "guarded.h"
#include <ATen/core/Tensor.h>

extern "C" {

void g2d_free(char *message) { free(message); }

char *g2d_clear_grad(void *tensor) {
  return guarded([&] { static_cast<at::Tensor *>(tensor)->mutable_grad().reset(); });
}
}
