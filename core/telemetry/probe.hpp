// Probe: asks a thread of this process where it is.
#pragma once

#include <pthread.h>

#include <optional>
#include <string>

namespace bulkhead::telemetry {

struct Whereabouts {
  std::string plugin, step, route, request_id;  // of the plugin it is in; "" in the host
  std::string stack;                            // "people.so+0x1a2b People::list(Request) < ..."
};

// Before the first question. Takes a signal for itself.
void prepare_probe();

// Interrupts the thread for a moment: a call of the system it waits in may end with EINTR. Nothing
// where it does not answer within 200 ms. [any] The thread lives, and is not the caller.
std::optional<Whereabouts> ask_where(pthread_t thread);

}  // namespace bulkhead::telemetry
