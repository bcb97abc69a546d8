// Stands in for gloo's header, which libtorch does not ship. `ProcessGroupGloo` holds contexts by
// pointers alone, so that its layout does not depend on them.
#pragma once
#include <chrono>

namespace gloo {
class Context {
public:
  void setTimeout(std::chrono::milliseconds timeout);
};
} // namespace gloo
