#include "sqlite/sqlite_statements.hpp"

#include <soci/soci.h>

#include "bulkhead/plugin.hpp"
#include "outcome.hpp"

namespace database {

using bulkhead::to_view;

// With the variables it is bound to; their addresses never change.
struct SqliteStatements::Prepared {
  struct Parameter {
    int32_t kind = BH_NULL;
    long long integer = 0;
    double real = 0;
    std::string text;
    soci::indicator indicator = soci::i_ok;
  };
  struct Column {
    int32_t kind = BH_TEXT;
    long long integer = 0;
    int boolean = 0;
    double real = 0;
    std::string text;
    soci::indicator indicator = soci::i_ok;
  };
  Prepared(soci::session& session, const bh_sql_query& query)
      : parameters(query.value_count), columns(query.column_count), statement(session) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      Parameter& p = parameters[i];
      p.kind = query.values[i].kind;
      switch (p.kind) {
        case BH_INT:
        case BH_BOOL:
          statement.exchange(soci::use(p.integer, p.indicator));
          break;
        case BH_REAL:
          statement.exchange(soci::use(p.real, p.indicator));
          break;
        default:
          statement.exchange(soci::use(p.text, p.indicator));
          break;
      }
    }
    for (size_t i = 0; i < columns.size(); ++i) {
      Column& c = columns[i];
      c.kind = query.columns[i];
      switch (c.kind) {
        case BH_INT:
          statement.exchange(soci::into(c.integer, c.indicator));
          break;
        case BH_BOOL:
          statement.exchange(soci::into(c.boolean, c.indicator));
          break;
        case BH_REAL:
          statement.exchange(soci::into(c.real, c.indicator));
          break;
        default:
          statement.exchange(soci::into(c.text, c.indicator));
          break;
      }
    }
    statement.alloc();
    statement.prepare(std::string(to_view(query.sql)));
    statement.define_and_bind();
  }
  void set(const bh_sql_query& query) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      Parameter& p = parameters[i];
      const bh_value& v = query.values[i];
      p.indicator = v.kind == BH_NULL ? soci::i_null : soci::i_ok;
      if (v.kind == BH_INT || v.kind == BH_BOOL)
        p.integer = v.as.i;
      else if (v.kind == BH_REAL)
        p.real = v.as.r;
      else if (v.kind != BH_NULL)
        p.text.assign(v.as.s.ptr == nullptr ? "" : v.as.s.ptr, v.as.s.len);
    }
  }
  void cells(std::vector<bh_value>* out) const {
    out->resize(columns.size());
    for (size_t i = 0; i < columns.size(); ++i) {
      const Column& c = columns[i];
      bh_value& v = (*out)[i];
      v = {};
      if (c.indicator == soci::i_null) continue;
      v.kind = c.kind;
      switch (c.kind) {
        case BH_INT:
          v.as.i = c.integer;
          break;
        case BH_BOOL:
          v.as.i = c.boolean != 0 ? 1 : 0;
          break;
        case BH_REAL:
          v.as.r = c.real;
          break;
        default:
          v.as.s = bulkhead::to_str(c.text);
          break;
      }
    }
  }

  std::vector<Parameter> parameters;
  std::vector<Column> columns;
  soci::statement statement;  // last: it goes before what it is bound to
};

SqliteStatements::SqliteStatements() = default;
SqliteStatements::~SqliteStatements() = default;

void SqliteStatements::execute(soci::session& session, const bh_sql_query& query, Outcome* outcome) {
  Prepared& prepared = prepare(session, query);
  prepared.set(query);
  bool row = prepared.statement.execute(true);
  if (query.column_count != 0) {
    bh_status wanted = BH_OK;
    for (; row; row = prepared.statement.fetch()) {  // to the end, or SQLite keeps its read transaction
      ++outcome->rows;
      if (query.row == nullptr || wanted != BH_OK) continue;
      prepared.cells(&cells_);
      wanted = query.row(query.arg, cells_.data(), cells_.size());
    }
    outcome->status = wanted;
  }
  outcome->affected = prepared.statement.get_affected_rows();
}

// By text and kinds; the least recently used goes when there are too many.
SqliteStatements::Prepared& SqliteStatements::prepare(soci::session& session, const bh_sql_query& query) {
  key_.assign(to_view(query.sql));
  key_ += '\0';
  for (size_t i = 0; i < query.value_count; ++i) key_ += static_cast<char>('0' + query.values[i].kind);
  key_ += ':';
  for (size_t i = 0; i < query.column_count; ++i) key_ += static_cast<char>('0' + query.columns[i]);
  if (const auto it = cached_.find(key_); it != cached_.end()) {
    recent_.splice(recent_.begin(), recent_, it->second.place);
    return *it->second.prepared;
  }
  auto prepared = std::make_unique<Prepared>(session, query);
  if (cached_.size() >= kMaxStatements) {
    cached_.erase(recent_.back());
    recent_.pop_back();
  }
  recent_.push_front(key_);
  return *cached_.emplace(key_, Entry{std::move(prepared), recent_.begin()}).first->second.prepared;
}

void SqliteStatements::forget_last() {
  const auto it = cached_.find(key_);
  if (it == cached_.end()) return;
  recent_.erase(it->second.place);
  cached_.erase(it);
}

void SqliteStatements::clear() {
  cached_.clear();
  recent_.clear();
}

}  // namespace database
