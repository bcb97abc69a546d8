// Stands in for gloo's header, which libtorch does not ship: `ProcessGroupGloo.hpp` uses nothing of it.
#pragma once
