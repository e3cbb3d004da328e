// Goes wrong where and how its configuration says, in plain C style: nothing of the SDK stands
// between the fault and the host.
//
// {"where": "create" | "start" | "quiesce" | "stop" | "destroy" | "post" | "timer" | "thread" |
// "step" | "blocking" | "on_end" | "complete", "fault": "segv" | "bus" | "fpe" | "ill" | "abort" |
// "overflow" | "exit" | "fork" (a child that exits) | "throw" | "throw_int" | "hang" | "sleep",
// "ms": how long "sleep" takes}. Steps go wrong at GET /faulty only; GET /faulty/fine never does.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include <nlohmann/json.hpp>

#include "bulkhead/plugin.h"
#include "bulkhead/value.hpp"

namespace {

struct Faulty {
  const bh_host* host;
  std::string where, fault;
  useconds_t us;
};

// The plugin's own frame in every backtrace.
[[gnu::noinline]] int go_deeper(volatile char* outer) {
  volatile char frame[4096];
  frame[0] = *outer;
  return (frame[0] != 0 ? go_deeper(frame) : 0) + frame[0];
}

[[gnu::noinline]] void go_wrong(const Faulty& self) {
  const std::string_view fault = self.fault;
  if (fault == "segv") {
    volatile int* volatile nowhere = nullptr;
    *nowhere = 1;
  } else if (fault == "bus") {
    std::raise(SIGBUS);
  } else if (fault == "fpe") {
    std::raise(SIGFPE);
  } else if (fault == "ill") {
    __builtin_trap();
  } else if (fault == "abort") {
    std::abort();
  } else if (fault == "overflow") {
    volatile char first = 1;
    std::printf("%d\n", go_deeper(&first));
  } else if (fault == "exit") {
    std::exit(0);
  } else if (fault == "fork") {
    const pid_t child = ::fork();
    if (child == 0) std::exit(0);
    int status = -1;
    ::waitpid(child, &status, 0);
    if (status != 0) std::abort();
  } else if (fault == "throw") {
    throw std::runtime_error("thrown on purpose");
  } else if (fault == "throw_int") {
    throw 42;
  } else if (fault == "hang") {
    while (true) ::pause();
  } else if (fault == "sleep") {
    for (useconds_t left = self.us; left > 0;) {
      const useconds_t piece = left < 1000 ? left : 1000;
      ::usleep(piece);
      left -= piece;
    }
  }
  asm volatile("");  // no call above is the last thing done here, so this frame stays
}

void go_wrong_at(void* arg, std::string_view where) {
  const auto& self = *static_cast<Faulty*>(arg);
  if (self.where == where) go_wrong(self);
}

bh_flow answer(bh_exchange* ex, const Faulty& self) {
  bh_reply reply{};
  reply.size = sizeof reply;
  reply.status = 200;
  reply.body = bulkhead::to_str("fine\n");
  self.host->ex_reply(self.host, ex, &reply);
  return BH_DONE;
}

bh_flow step(void* arg, bh_exchange* ex, const bh_request* /*rq*/, bh_error* /*err*/) {
  auto& self = *static_cast<Faulty*>(arg);
  if (self.where == "on_end")
    self.host->ex_on_end(
        self.host, ex, [](void* from) { go_wrong_at(from, "on_end"); }, arg);
  else if (self.where == "post")
    self.host->post(
        self.host, [](void* from) { go_wrong_at(from, "post"); }, arg);
  else if (self.where == "timer")
    self.host->timer(
        self.host, 1, 0, [](void* from) { go_wrong_at(from, "timer"); }, arg);
  else if (self.where == "thread")
    std::thread([arg] { go_wrong_at(arg, "thread"); }).detach();
  else if (self.where == "step" || self.where == "blocking")
    go_wrong(self);
  return answer(ex, self);
}

bh_flow fine(void* arg, bh_exchange* ex, const bh_request* /*rq*/, bh_error* /*err*/) {
  return answer(ex, *static_cast<Faulty*>(arg));
}

bh_status add(const Faulty& self, std::string_view pattern, bh_step run, uint32_t flags, bh_error* err) {
  bh_route route{};
  route.size = sizeof route;
  route.flags = flags;
  route.method = bulkhead::to_str("GET");
  route.pattern = bulkhead::to_str(pattern);
  route.step = run;
  route.self = const_cast<Faulty*>(&self);
  return self.host->route(self.host, &route, err);
}

bh_status create(const bh_host* host, bh_str config, void** out, bh_error* err) {
  const auto values = nlohmann::json::parse(bulkhead::to_view(config));
  auto* self = std::make_unique<Faulty>(
                   Faulty{host, values.value("where", ""), values.value("fault", ""), values.value("ms", 0U) * 1000})
                   .release();
  *out = self;
  go_wrong_at(self, "create");
  if (self->where == "complete") {
    bh_hook hook{};
    hook.size = sizeof hook;
    hook.phase = BH_COMPLETE;
    hook.step = [](void* arg, bh_exchange* /*ex*/, const bh_request* /*rq*/, bh_error* /*err*/) -> bh_flow {
      go_wrong_at(arg, "complete");
      return BH_NEXT;
    };
    hook.self = self;
    host->hook(host, &hook, err);
  }
  const bh_status status = add(*self, "/faulty", step, self->where == "blocking" ? BH_BLOCKING : 0, err);
  return status == BH_OK ? add(*self, "/faulty/fine", fine, 0, err) : status;
}

bh_status start(void* self, bh_error* /*err*/) {
  go_wrong_at(self, "start");
  return BH_OK;
}

BH_NOTE(0);

const bh_plugin kPlugin = [] {
  bh_plugin plugin{};
  plugin.size = sizeof plugin;
  plugin.abi_major = BH_ABI_MAJOR;
  plugin.id = bulkhead::to_str("faulty");
  plugin.version = bulkhead::to_str("1.0.0");
  plugin.summary = bulkhead::to_str("Goes wrong where and how it is told to.");
  plugin.schema = bulkhead::to_str(R"({"type": "object", "properties": {"where": {"type": "string"},
    "fault": {"type": "string"}, "ms": {"type": "integer"}}})");
  plugin.create = create;
  plugin.start = start;
  plugin.quiesce = [](void* self) { go_wrong_at(self, "quiesce"); };
  plugin.stop = [](void* self) { go_wrong_at(self, "stop"); };
  plugin.destroy = [](void* self) {
    const std::unique_ptr<Faulty> own(static_cast<Faulty*>(self));
    go_wrong_at(self, "destroy");
  };
  return plugin;
}();

}  // namespace

const bh_plugin* bh_plugin_v1(void) { return &kPlugin; }
