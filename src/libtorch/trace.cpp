// A TorchScript module recorded from a function, for any batch size.
#include "guarded.h"
#include "module.h"
#include "tensors.h"
#include <ATen/ops/empty.h>
#include <ATen/ops/isclose.h>
#include <ATen/record_function.h>
#include <algorithm>
#include <cmath>
#include <sstream>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

using namespace torch::jit;

namespace {
// The submodule at the path before the last component of `name`, made where there is none.
Module owner_of(Module root, std::string &name) {
  for (size_t dot; (dot = name.find('.')) != std::string::npos; name = name.substr(dot + 1)) {
    const auto child = name.substr(0, dot);
    if (!root.hasattr(child)) {
      Module made("__torch__.g2d.Part", root._ivalue()->compilation_unit(), /*shouldMangle=*/true);
      made.register_attribute("training", c10::BoolType::get(), false);
      root.register_module(child, made);
    }
    root = root.attr(child).toModule();
  }
  return root;
}

// Tensors made from numbers. tch makes them as zeros and writes the numbers to memory, which the tracer
// does not see: it records zeros. This class compares what `zeros` returned with what the next operation
// finds there, and makes a constant of a tensor that was written to.
class FromNumbers {
public:
  FromNumbers() {
    current = this;
    auto callback = at::RecordFunctionCallback(
        [](const at::RecordFunction &) -> std::unique_ptr<at::ObserverContext> {
          current->look();
          return nullptr;
        },
        [](const at::RecordFunction &function, at::ObserverContext *) { current->after(function); });
    callback.needsOutputs(true).scopes({at::RecordScope::FUNCTION});
    handle = at::addThreadLocalCallback(std::move(callback));
  }
  ~FromNumbers() {
    at::removeCallback(handle);
    current = nullptr;
  }
  FromNumbers(const FromNumbers &) = delete;

  // Replaces the zeros of the graph that is being traced.
  void finish() {
    look();
    for (auto &[value, constant] : written) {
      const WithInsertPoint here(value->node());
      value->replaceAllUsesWith(value->owningGraph()->insertConstant(constant));
    }
  }

private:
  // Not the tensor itself: another handle on it would hide it from the tracer.
  struct Zeros {
    Value *value;
    c10::Storage storage;
    std::vector<int64_t> size;
    at::ScalarType type;
  };

  void after(const at::RecordFunction &function) {
    const auto state = tracer::getTracingState();
    if (!state || std::string_view(function.name()) != "aten::zeros" || function.outputs().size() != 1)
      return;
    const auto &output = function.outputs()[0];
    if (!output.isTensor() || !output.toTensor().device().is_cpu() || !state->hasValue(output))
      return;
    const at::Tensor &tensor = output.toTensor();
    zeros.push_back({state->getValue(output), tensor.storage(), tensor.sizes().vec(),
                     tensor.scalar_type()});
  }

  void look() {
    if (zeros.empty())
      return;
    auto unpause = tracer::pauseTracing();
    std::vector<Zeros> all;
    all.swap(zeros); // the operations below look too
    for (const Zeros &each : all) {
      const char *bytes = static_cast<const char *>(each.storage.data());
      const size_t count = each.storage.nbytes();
      if (std::all_of(bytes, bytes + count, [](char byte) { return byte == 0; }))
        continue;
      at::Tensor constant = at::empty(each.size, at::TensorOptions().dtype(each.type));
      std::copy(bytes, bytes + count, static_cast<char *>(constant.data_ptr()));
      written.emplace_back(each.value, constant);
    }
    unpause();
  }

  static thread_local FromNumbers *current;
  at::CallbackHandle handle;
  std::vector<Zeros> zeros;
  std::vector<std::pair<Value *, at::Tensor>> written;
};
thread_local FromNumbers *FromNumbers::current = nullptr;

// Tensors that `run` computes from `inputs`. It returns null for a failure, which it keeps in `context`.
struct Recorded {
  void *context;
  void *const *(*run)(void *context, void *const *inputs, size_t count);
  size_t outputs;
  bool as_tuple;

  Stack operator()(const Stack &inputs) const {
    std::vector<at::Tensor> tensors;
    for (const auto &input : inputs)
      tensors.push_back(input.toTensor());
    std::vector<void *> pointers;
    for (auto &tensor : tensors)
      pointers.push_back(&tensor);
    FromNumbers numbers;
    void *const *results = run(context, pointers.data(), pointers.size());
    if (results == nullptr)
      throw std::runtime_error("the function to trace has failed");
    numbers.finish();
    std::vector<c10::IValue> values;
    for (size_t i = 0; i < outputs; ++i)
      values.emplace_back(tensor_at(results, i));
    if (as_tuple)
      return {c10::ivalue::Tuple::create(std::move(values))};
    return values;
  }
};

// Makes a graph that was traced with batches of `sizes.first` samples one for any batch size, by
// comparison with one that was traced with `sizes.second`: an integer that differs becomes a function of
// the size of the first input.
class Generalised {
public:
  Generalised(std::shared_ptr<Graph> graph, std::pair<int64_t, int64_t> sizes, at::Device device)
      : graph(std::move(graph)), sizes(sizes), device(device) {}

  void compare(const std::shared_ptr<Graph> &other) {
    std::vector<Node *> own(graph->nodes().begin(), graph->nodes().end());
    std::vector<Node *> others(other->nodes().begin(), other->nodes().end());
    if (own.size() != others.size())
      fail(std::to_string(own.size()) + " and " + std::to_string(others.size()) + " of them");
    if (own.empty())
      return;
    const WithInsertPoint at_the_start(own[0]);
    Value *input = graph->inputs().at(1); // after the module itself
    size = graph->insert(aten::size, {input, 0});
    own_device = graph->insert(prim::device, {input});
    for (size_t i = 0; i < own.size(); ++i) {
      Node *a = own[i], *b = others[i];
      if (a->kind() != b->kind() || a->inputs().size() != b->inputs().size())
        fail(std::string(a->kind().toQualString()) + " and " + b->kind().toQualString());
      if (a->kind() == prim::Constant)
        constant(a, b);
      // libtorch removes an expansion that is marked as implicit when it runs a module.
      if (a->kind() == aten::expand)
        a->replaceInput(2, graph->insertConstant(false));
    }
    EliminateDeadCode(graph);
    graph->lint();
  }

private:
  [[noreturn]] void fail(const std::string &how) const {
    std::ostringstream text;
    text << "the operations for " << sizes.first << " and " << sizes.second
         << " samples are not the same: " << how;
    throw std::runtime_error(text.str());
  }

  void constant(Node *a, Node *b) {
    const auto left = toIValue(a->output()), right = toIValue(b->output());
    if (!left || !right)
      return;
    if (left->isInt() && right->isInt()) {
      if (left->toInt() != right->toInt())
        replace(a, of_size(left->toInt(), right->toInt()));
    } else if (left->isIntList() && right->isIntList()) {
      const auto x = left->toIntVector(), y = right->toIntVector();
      if (x.size() != y.size())
        fail("lists of " + std::to_string(x.size()) + " and " + std::to_string(y.size()));
      if (x == y)
        return;
      std::vector<Value *> values;
      for (size_t i = 0; i < x.size(); ++i)
        values.push_back(x[i] == y[i] ? graph->insertConstant(x[i]) : of_size(x[i], y[i]));
      replace(a, graph->insertNode(graph->createList(c10::IntType::get(), values))->output());
    } else if (left->isDevice()) {
      if (left->toDevice() == device)
        replace(a, own_device);
    } else if (left->isDouble() && right->isDouble()) {
      const double x = left->toDouble(), y = right->toDouble();
      if (x != y && !(std::isnan(x) && std::isnan(y)))
        fail("the number " + std::to_string(x) + " and " + std::to_string(y));
    } else if (left->isTensor() && right->isTensor()) {
      const at::Tensor &x = left->toTensor(), &y = right->toTensor();
      if (x.sizes() == y.sizes() && at::isclose(x, y, 0, 0, /*equal_nan=*/true).all().item<bool>())
        return;
      std::ostringstream text;
      text << "tensors " << x.sizes() << " and " << y.sizes()
           << " that are not computed from the inputs";
      fail(text.str());
    }
  }

  // factor · B + offset, the only such function through both values.
  Value *of_size(int64_t x, int64_t y) {
    const int64_t step = sizes.second - sizes.first;
    if ((y - x) % step != 0)
      fail("the integers " + std::to_string(x) + " and " + std::to_string(y));
    const int64_t factor = (y - x) / step, offset = x - factor * sizes.first;
    Value *value = factor == 1 ? size : graph->insert(aten::mul, {size, factor});
    return offset == 0 ? value : graph->insert(aten::add, {value, offset});
  }

  static void replace(Node *node, Value *value) { node->output()->replaceAllUsesWith(value); }

  std::shared_ptr<Graph> graph;
  std::pair<int64_t, int64_t> sizes;
  at::Device device;
  Value *size = nullptr;
  Value *own_device = nullptr;
};
} // namespace

extern "C" {

// A module without methods, whose parameters and buffers are the given tensors under dotted names.
char *g2d_trace_module(const char *const *names, void *const *tensors, const bool *is_parameter,
                       size_t count, void **module) {
  return guarded([&] {
    Module root("__torch__.g2d.Student");
    root.register_attribute("training", c10::BoolType::get(), false);
    for (size_t i = 0; i < count; ++i) {
      std::string name = names[i];
      Module owner = owner_of(root, name);
      if (owner.hasattr(name))
        throw std::runtime_error(std::string("two variables have the name ") + names[i]);
      owner.register_parameter(name, tensor_at(tensors, i), !is_parameter[i]);
    }
    *module = new Module(root);
  });
}

// Adds the method `name` that `run` computes. `inputs` are two batches of `count` tensors each, the
// first with `first` samples and the second with `second`.
char *g2d_trace_method(void *module, const char *name, void *const *inputs,
                       const char *const *input_names, size_t count, int64_t first, int64_t second,
                       void *context,
                       void *const *(*run)(void *context, void *const *inputs, size_t count),
                       size_t outputs, bool as_tuple) {
  return guarded([&] {
    Module &root = module_at(module);
    const std::vector<std::string> names(input_names, input_names + count);
    const Recorded function{context, run, outputs, as_tuple};
    const auto traced = [&](size_t begin) {
      Stack stack;
      for (size_t i = begin; i < begin + count; ++i)
        stack.emplace_back(tensor_at(inputs, i));
      const auto no_name = [](const at::Tensor &) { return std::string(); };
      const auto traced = tracer::trace(std::move(stack), function, no_name, /*strict=*/true,
                                        /*force_outplace=*/false, &root, names);
      return traced.first->graph;
    };
    const auto graph = traced(0), other = traced(count);
    Generalised(graph, {first, second}, tensor_at(inputs, 0).device()).compare(other);
    const c10::QualifiedName method(*root.type()->name(), name);
    root.type()->addMethod(root._ivalue()->compilation_unit()->create_function(method, graph));
  });
}
}
