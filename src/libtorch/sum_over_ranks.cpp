// A sum over all ranks as a part of the graph.
#include "c10d.h"
#include <torch/csrc/autograd/functions/utils.h>

namespace {
at::Tensor sum_over_ranks(const GroupPtr &group, const at::Tensor &tensor) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> sum{tensor.detach().clone(at::MemoryFormat::Contiguous)};
  group->allreduce(sum)->wait();
  return sum[0];
}

// The loss of every rank depends on the sum, so its gradient is the sum of those of all ranks.
struct SumOverRanks : torch::autograd::Node {
  GroupPtr group;

  torch::autograd::variable_list apply(torch::autograd::variable_list &&gradients) override {
    return {sum_over_ranks(group, gradients[0])};
  }
};
} // namespace

extern "C" {

// A new tensor: the sum of `tensor` over all ranks. Backward through it is collective, too.
char *g2d_group_sum_in_graph(void *group, void *tensor, void **sum) {
  return guarded([&] {
    const auto &own = *static_cast<at::Tensor *>(tensor);
    auto result = sum_over_ranks(group_at(group), own);
    if (torch::autograd::compute_requires_grad(own)) {
      auto node = c10::make_intrusive<SumOverRanks>();
      node->group = group_at(group);
      node->set_next_edges(torch::autograd::collect_next_edges(own));
      torch::autograd::set_history(result, node);
    }
    *sum = new at::Tensor(std::move(result));
  });
}
}
