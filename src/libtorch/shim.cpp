// What g2d needs of libtorch that tch does not expose. Every function returns null, or an error
// message that the caller frees with g2d_free.
#include <ATen/core/Tensor.h>
#include <cstdlib>
#include <cstring>
#include <exception>

namespace {
template <typename F> char *guarded(F &&body) {
  try {
    body();
    return nullptr;
  } catch (const std::exception &error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("unknown C++ exception");
  }
}
} // namespace

extern "C" {

void g2d_free(char *message) { free(message); }

char *g2d_clear_grad(void *tensor) {
  return guarded([&] { static_cast<at::Tensor *>(tensor)->mutable_grad().reset(); });
}
}
