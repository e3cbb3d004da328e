#include "postgresql/listener.hpp"

#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "postgresql/conninfo.hpp"

namespace database {

namespace {

constexpr int kCheckMs = 1000, kSilenceMs = 2000, kRetryMs = 200;

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

bool channel_name(std::string_view name) {
  return !name.empty() && name.size() < 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

bh_status Listener::add(const bh_sql_listener& listener, bh_error* err) {
  if (!BH_HAS(&listener, arg) || listener.notified == nullptr || listener.listening == nullptr)
    return bulkhead::set_error(err, BH_E_INVALID, "the listener has no callbacks, or its size is not set");
  const std::string_view name = bulkhead::to_view(listener.channel);
  if (!channel_name(name))
    return bulkhead::set_error(err, BH_E_INVALID, "a channel's name is of lower-case letters, digits and _");
  const std::lock_guard lock(mutex_);
  if (stopping_) return bulkhead::set_error(err, BH_E_UNAVAILABLE, "the host is stopping");
  if (!thread_.joinable()) {
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_ < 0) return bulkhead::set_error(err, BH_E_UNAVAILABLE, "no descriptor is left for listening");
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "bh-listen");
  }
  channels_.push_back({std::string(name), listener});
  again_ = true;  // with this channel too
  ::eventfd_write(wake_, 1);
  return BH_OK;
}

void Listener::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (!thread_.joinable()) return;
  ::eventfd_write(wake_, 1);
  thread_.join();
  ::close(wake_);
}

void Listener::run() {
  std::string reported;
  while (!stopping_) {
    const std::string why = serve();
    if (!why.empty() && why != reported && !settings_.stopping.stop_requested())
      host_.warn("not listening to the database", {{"reason", why}});
    if (!why.empty()) wait(kRetryMs);
    reported = why;
  }
}

void Listener::wait(int ms) const {
  pollfd wake{wake_, POLLIN, 0};
  ::poll(&wake, 1, ms);
}

std::string Listener::serve() {
  std::vector<Channel> channels;
  {
    const std::lock_guard lock(mutex_);
    channels = channels_;
    again_ = false;
    eventfd_t ignored = 0;
    ::eventfd_read(wake_, &ignored);
  }
  const Conninfo server = conninfo(settings_);
  if (server.text.empty()) return server.unknown;
  const Connection connection(PQconnectdb(server.text.c_str()), PQfinish);
  const auto wrong = [&] {
    std::string text = PQerrorMessage(connection.get());
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
  };
  if (PQstatus(connection.get()) != CONNECTION_OK) return wrong();
  for (const Channel& channel : channels)
    if (!ask(connection.get(), "listen " + channel.name)) return stopping_ || again_ ? std::string() : wrong();
  const auto tell = [&](int32_t on) {
    for (const Channel& channel : channels) channel.listener.listening(channel.listener.arg, on);
  };
  tell(1);
  bool good = true;
  while (good && !stopping_ && !again_) {
    pollfd fds[] = {{PQsocket(connection.get()), POLLIN, 0}, {wake_, POLLIN, 0}};
    // Silence may be a connection that is not there any more: then the server is asked.
    const bool quiet = ::poll(fds, 2, kCheckMs) == 0;
    good = quiet ? ask(connection.get(), "select 1") : PQconsumeInput(connection.get()) == 1;
    while (PGnotify* raw = PQnotifies(connection.get())) {
      const std::unique_ptr<PGnotify, decltype(&PQfreemem)> notify(raw, PQfreemem);
      for (const Channel& channel : channels)
        if (channel.name == notify->relname)
          channel.listener.notified(channel.listener.arg, bulkhead::to_str(notify->extra));
    }
  }
  tell(0);
  return good || stopping_ || again_ ? std::string() : "the connection is lost: " + wrong();
}

// False where it fails, takes too long, or there is something else to do.
bool Listener::ask(PGconn* connection, const std::string& sql) const {
  if (PQsendQuery(connection, sql.c_str()) != 1) return false;
  bool good = true;
  while (true) {
    while (PQisBusy(connection) == 1) {
      pollfd fds[] = {{PQsocket(connection), POLLIN, 0}, {wake_, POLLIN, 0}};
      if (::poll(fds, 2, kSilenceMs) <= 0 || fds[1].revents != 0 || PQconsumeInput(connection) != 1) return false;
    }
    const Result result(PQgetResult(connection), PQclear);
    if (!result) return good;
    const ExecStatusType status = PQresultStatus(result.get());
    good = good && (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK);
  }
}

}  // namespace database
