// Runs the body of a function of the shim. Returns null, or the message of the C++ exception, which
// the caller frees with g2d_free.
#pragma once
#include <cstdlib>
#include <cstring>
#include <exception>

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
