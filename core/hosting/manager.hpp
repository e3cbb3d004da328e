// Manager: all plugins of the configuration, one generation of them.
//
// Control thread only, but for what is marked [any].
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/chain/table.hpp"
#include "core/config/document.hpp"
#include "core/config/model.hpp"
#include "core/hosting/instance.hpp"

namespace bulkhead::hosting {

class Manager {
 public:
  // What is logged of a configuration goes through this first: it may quote a secret.
  using Redact = std::function<std::string(std::string)>;

  Manager(Environment& environment, Redact redact) : environment_(environment), redact_(std::move(redact)) {
    environment_.manager = this;
  }
  ~Manager() { retire(); }

  // The plugin of this id is part of the program; it is looked for nowhere else.
  void link(const std::string& id, const bh_plugin* descriptor) { linked_[id] = descriptor; }

  // Loads, checks and creates every enabled plugin, in start order. On failure everything created
  // is destroyed again; each issue points into the configuration.
  std::vector<config::Issue> create(const config::Config& config);
  // Starts them and builds the table. On failure everything is stopped and destroyed again.
  std::vector<config::Issue> start();
  // Gives the plugins whose configuration is another than before the new one. What is wrong, or
  // takes a restart.
  std::vector<config::Issue> configure(const config::Config& config);
  // The table of what is registered so far; also without start(), for commands that only look.
  std::vector<config::Issue> build();
  void quiesce();
  // Reverse start order. Returns when all are destroyed.
  void retire();

  // [any]
  std::shared_ptr<const chain::Table> table() const;
  uint64_t generation() const;
  const std::vector<std::unique_ptr<Instance>>& instances() const { return instances_; }  // fixed after create()
  Instance* find(std::string_view id) const;

 private:
  // Null and what is wrong.
  std::shared_ptr<Library> find_library_of(const config::PluginEntry& entry, const std::vector<std::string>& folders,
                                           config::Issue* issue) const;
  std::string sort_by_needs();
  config::Issue issue_of(const Instance& plugin, const std::string& message) const;

  Environment& environment_;
  const Redact redact_;
  std::map<std::string, const bh_plugin*> linked_;
  std::vector<std::unique_ptr<Instance>> instances_;
  std::map<std::string, size_t> configs_;  // by id: marks of what each was given last, with defaults
  mutable std::mutex mutex_;
  std::shared_ptr<const chain::Table> table_;
  uint64_t generation_ = 0;
};

}  // namespace bulkhead::hosting
