/* bulkhead/extensions/command.h - "bh.command/1", a plugin's own commands.
 *
 * From bh_plugin.extension(). `bulkhead run ID NAME ARGS...` starts every plugin
 * without serving, calls run(), then stops them.
 */
#ifndef BH_EXTENSIONS_COMMAND_H
#define BH_EXTENSIONS_COMMAND_H

#include "bulkhead/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_COMMAND_ID "bh.command/1"

typedef struct bh_command_info {
    bh_str name, usage, summary; /* "import", "FILE.csv", one line */
} bh_command_info;

typedef struct bh_commands {
    uint32_t size;
    uint32_t count;
    const bh_command_info *list;
    /* Main thread; may block. `print` writes to standard output.
     * Returns the exit status: 0, 1 (refused; err filled), 2 (usage; err filled). */
    int32_t (*run)(void *self, bh_str name, const bh_str *args, size_t n, void (*print)(void *out, bh_str text), void *out,
                   bh_error *err);
} bh_commands;

BH_SIZE_(bh_command_info, 48);
BH_SIZE_(bh_commands, 24);

#ifdef __cplusplus
}
#endif
#endif /* BH_EXTENSIONS_COMMAND_H */
