/* bulkhead/services/sql.h - "bh.sql", a relational database as a service.
 *
 * Asynchronous: the provider's session threads do the waiting. A step submits,
 * keeps its exchange (ex_retain) and returns BH_PENDING; `done` answers.
 *
 * Loans: everything in a query is copied before submit() returns, except `arg`
 * and `ex`, which the caller keeps alive until `done` ran. Cells are lent until
 * `row` returns, a result until `done` returns.
 *
 * Threads: `row`, `run` and `done` run on a session's thread and must not block
 * on anything but the session itself. `done` runs exactly once for what was
 * accepted, and never for what submit(), lookup(), transact() or migrate() refused.
 *
 * Writes: statements without BH_SQL_READ that wait at the same time share a transaction. Each succeeds or fails as
 * it would alone, and `done` comes after the commit is durable.
 *
 * SQL text: placeholders are `:name`, each name once, bound by order of appearance. Values never
 * become text of a statement. Statements are prepared once per session and kept.
 */
#ifndef BH_SERVICES_SQL_H
#define BH_SERVICES_SQL_H

#include "bulkhead/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_SQL_ID "bh.sql"
#define BH_SQL_VERSION 1u

enum { BH_SQL_POSTGRESQL = 1, BH_SQL_SQLITE = 2 };

/* bh_sql_query.flags, bh_sql_transaction.flags */
enum {
    BH_SQL_READ = 1u << 0 /* changes nothing: may run beside a writer, and once more after a lost connection */
};

typedef struct bh_sql_session bh_sql_session; /* a running transaction; ends when `run` returns */

typedef struct bh_sql_result {
    uint32_t size;
    bh_status status;    /* BH_OK; BH_E_UNAVAILABLE lost, down or waited too long; BH_E_TIMEOUT cancelled by */
                         /* the statement timeout; BH_E_CONFLICT a constraint or serialization failure;    */
                         /* BH_E_FULL no room on its disk;                                                  */
                         /* BH_E_INVALID a value the database refuses; BH_E_INTERNAL anything else        */
    int64_t affected;    /* rows changed */
    uint64_t rows;       /* rows delivered */
    bh_str sqlstate;     /* five characters where the database has them, else "" */
    bh_str message;      /* the database's own words, never values: for logs, not for callers */
} bh_sql_result;

typedef struct bh_sql_query {
    uint32_t size;
    uint32_t flags;
    bh_str sql;
    const bh_value *values; /* BH_INT, BH_REAL, BH_BOOL, BH_TEXT (UTF-8 without NUL), BH_NULL */
    size_t value_count;
    const int32_t *columns; /* kinds of the result's columns, in order: BH_INT, BH_REAL, BH_BOOL, BH_TEXT */
    size_t column_count;
    uint64_t deadline_ns;   /* on the host's clock; not begun by then: BH_E_UNAVAILABLE. 0 = the provider's */
    bh_exchange *ex;        /* on whose behalf, for traces; may be NULL */
    bh_status (*row)(void *arg, const bh_value *cells, size_t n); /* may be NULL; < 0 ends the query with that status */
    void (*done)(void *arg, const bh_sql_result *result);         /* not called by execute() */
    void *arg;
} bh_sql_query;

/* One row by its key. Lookups of the same text that wait when a session comes free travel as one query, equal
 * keys are asked for once; no lookup is answered from a query that began before it came. */
typedef struct bh_sql_lookup {
    uint32_t size;
    uint32_t flags;         /* none yet */
    bh_str sql;             /* "select KEY, … from … where …", no placeholders: the provider adds "and KEY = …" */
    bh_str key_column;      /* KEY, the first column selected */
    bh_str key_type;        /* its SQL type: "uuid", "bigint" */
    bh_value key;           /* BH_TEXT as the database writes it, or BH_INT */
    const int32_t *columns; /* as in bh_sql_query; the first one is the key's kind */
    size_t column_count;
    uint64_t deadline_ns;
    bh_exchange *ex;
    bh_status (*row)(void *arg, const bh_value *cells, size_t n); /* not called where there is no such row */
    void (*done)(void *arg, const bh_sql_result *result);
    void *arg;
} bh_sql_lookup;

typedef struct bh_sql_transaction {
    uint32_t size;
    uint32_t flags;
    bh_status (*run)(void *arg, bh_sql_session *session); /* BH_OK commits, anything else rolls back */
    void (*done)(void *arg, const bh_sql_result *result); /* after the commit is durable, or the rollback */
    void *arg;
    uint64_t deadline_ns;
    bh_exchange *ex;
} bh_sql_transaction;

typedef struct bh_sql_migration {
    uint32_t version;  /* 1, 2, 3, ... without gaps; never changed once released */
    uint32_t reserved;
    bh_str name;
    bh_str sql;        /* one or more statements in the dialect of bh_sql.dialect, no placeholders */
} bh_sql_migration;

typedef struct bh_sql_migrations {
    uint32_t size;
    uint32_t reserved;
    bh_str owner;      /* the plugin's id: each owner has versions of its own */
    const bh_sql_migration *list;
    size_t count;
    void (*done)(void *arg, const bh_sql_result *result); /* once, when all are applied; waits for a database that is down */
    void *arg;
} bh_sql_migrations;

/* Notifications of other sessions and programs: PostgreSQL's LISTEN. Sent by "select pg_notify(channel, payload)". */
typedef struct bh_sql_listener {
    uint32_t size;
    uint32_t reserved;
    bh_str channel;    /* a name of letters, digits and _ */
    void (*notified)(void *arg, bh_str payload);
    void (*listening)(void *arg, int32_t on); /* 1: from now on every notification comes; 0: some may be missed */
    void *arg;         /* both are called until the provider has quiesced, on its thread */
} bh_sql_listener;

typedef struct bh_sql {
    uint32_t size;
    int32_t dialect;
    bh_status (*submit)(void *self, const bh_sql_query *q, bh_error *err);              /* [any] */
    bh_status (*transact)(void *self, const bh_sql_transaction *t, bh_error *err);      /* [any] */
    bh_status (*execute)(bh_sql_session *s, const bh_sql_query *q, bh_sql_result *out); /* inside run, on its thread; `out` is lent */
                                                                                        /* until the next execute()             */
    bh_status (*migrate)(void *self, const bh_sql_migrations *m, bh_error *err);        /* [setup] before the first submit */
    bh_status (*lookup)(void *self, const bh_sql_lookup *l, bh_error *err);             /* [any] */
    bh_status (*listen)(void *self, const bh_sql_listener *l, bh_error *err);           /* [any] BH_E_UNSUPPORTED on SQLite */
    uint64_t replica_lag_ms; /* reads on behalf of another caller than the writer may lack commits of this much time; 0: none */
} bh_sql;

BH_SIZE_(bh_sql_result, 56);
BH_SIZE_(bh_sql_query, 96);
BH_SIZE_(bh_sql_lookup, 136);
BH_SIZE_(bh_sql_transaction, 48);
BH_SIZE_(bh_sql_migration, 40);
BH_SIZE_(bh_sql_migrations, 56);
BH_SIZE_(bh_sql_listener, 48);
BH_SIZE_(bh_sql, 64);

#ifdef __cplusplus
}
#endif
#endif /* BH_SERVICES_SQL_H */
