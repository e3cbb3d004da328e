/* bulkhead/extensions/notes.h - "bh.notes/1", what an operator should see of a plugin's configuration.
 *
 * From bh_plugin.extension(), after create. `bulkhead check` prints the notes, and the line that says
 * what is served has them. For what a configuration means and does not show: the file that a relative
 * path leads to.
 */
#ifndef BH_EXTENSIONS_NOTES_H
#define BH_EXTENSIONS_NOTES_H

#include "bulkhead/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_NOTES_ID "bh.notes/1"

typedef struct bh_notes {
    uint32_t size;
    uint32_t reserved;
    void (*list)(void *self, void (*note)(void *arg, bh_str text), void *arg); /* control thread; no secrets */
} bh_notes;

BH_SIZE_(bh_notes, 16);

#ifdef __cplusplus
}
#endif
#endif /* BH_EXTENSIONS_NOTES_H */
