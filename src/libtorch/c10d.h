// libtorch's process groups. gloo's own headers are not part of libtorch; `stubs/` stands in for them.
#pragma once
#define USE_C10D_GLOO
#include "guarded.h"
#include "tensors.h"
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

// Rust allocates none of these, but the constructors here and the destructors in libtorch must agree.
#if defined(__x86_64__) && defined(__linux__)
static_assert(sizeof(c10d::ProcessGroupGloo) == 488 && sizeof(c10d::ProcessGroupGloo::Options) == 184);
static_assert(sizeof(c10d::TCPStore) == 216 && sizeof(c10d::ProcessGroup) == 312);
#endif

using StorePtr = c10::intrusive_ptr<c10d::Store>;
using GroupPtr = c10::intrusive_ptr<c10d::ProcessGroup>;

inline const StorePtr &store_at(void *store) { return *static_cast<StorePtr *>(store); }
inline const GroupPtr &group_at(void *group) { return *static_cast<GroupPtr *>(group); }
