// The version of libtorch.
#include <torch/version.h>

extern "C" const char *g2d_version() { return TORCH_VERSION; }
