/* foreign_json.c - JSON and JSON Lines: which key holds the sequences, told from the first records. See foreign_file.h.
 *
 * The beginning of a document is no document, so this looks for pairs of a key and a text, and at how deep they stand.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "data/read/foreign_internal.h"

enum { KEY_BYTES = 64 };

typedef struct pairs {
  char sequence[KEY_BYTES], id[KEY_BYTES]; /* keys; "": none found */
  bool named;                              /* the first's name says that it holds sequences */
  int depth;                               /* where the first stands */
  bool listed;                             /* a text of residues stands in a list */
} pairs;

/* From behind a quotation mark to the next one; false where it is cut. */
static bool quoted(const plm_foreign_look *look, size_t *at, plm_foreign_line *ret_text) {
  size_t begin = *at;
  for (; *at < look->bytes; ++*at) {
    if (look->text[*at] == '\\')
      ++*at;
    else if (look->text[*at] == '"')
      break;
  }
  if (*at >= look->bytes) return false;
  *ret_text = (plm_foreign_line){.text = look->text + begin, .bytes = *at - begin};
  ++*at;
  return true;
}

static char next_mark(const plm_foreign_look *look, size_t at) {
  while (at < look->bytes && isspace((unsigned char)look->text[at])) at++;
  return at < look->bytes ? look->text[at] : '\0';
}

/* Keys that can stand in a line of Python between single quotes as they are. */
static bool is_plain(plm_foreign_line key) {
  for (size_t i = 0; i < key.bytes; i++)
    if (!isalnum((unsigned char)key.text[i]) && strchr("_-. ", key.text[i]) == NULL) return false;
  return key.bytes > 0 && key.bytes < KEY_BYTES;
}

static void keep(char to[KEY_BYTES], plm_foreign_line key) {
  snprintf(to, KEY_BYTES, "%.*s", (int)key.bytes, key.text);
}

static void take_value(pairs *p, plm_foreign_line key, plm_foreign_line value, int depth) {
  bool named = plm_foreign_is_sequence_name(key.text, key.bytes);
  if (p->sequence[0] == '\0' && is_plain(key) && plm_foreign_is_residues(value.text, value.bytes, named ? 1 : 10)) {
    keep(p->sequence, key);
    p->named = named;
    p->depth = depth;
  }
}

static void look_for_pairs(const plm_foreign_look *look, pairs *p) {
  plm_foreign_line key = {0}, text;
  int depth = 0;
  for (size_t at = 0; at < look->bytes;) {
    char c = look->text[at++];
    depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    if (c == '}' && p->sequence[0] != '\0') return;
    if (c != '"') {
      if (strchr("{}[],", c) != NULL) key = (plm_foreign_line){0};
      continue;
    }
    if (!quoted(look, &at, &text)) return;
    if (next_mark(look, at) == ':') {
      key = text;
      if (p->id[0] == '\0' && is_plain(key) && plm_foreign_is_id_name(key.text, key.bytes)) keep(p->id, key);
    } else if (key.text != NULL) {
      take_value(p, key, text, depth);
    } else {
      p->listed = p->listed || (depth == 1 && plm_foreign_is_residues(text.text, text.bytes, 5));
    }
  }
}

/* Takes pairs of a name and a value, and prints those whose value is letters. A name is one line, a number where there is
 * none; what UTF-8 cannot say in it is replaced. */
#define PYTHON                                                                                                      \
  "python3 -c 'import json,re,sys; sys.stdout.reconfigure(encoding=\"utf-8\",errors=\"replace\"); "                 \
  "[print(\">%%s\\n%%s\" %% (\" \".join(str(i if n is None else n).split()),\"\".join(s.split()))) for i,(n,s) in " \
  "enumerate(%s,1) if isinstance(s,str) and re.search(\"%s\",\"\".join(s.split()))]'"
#define ANY "[A-Za-z]"
#define RESIDUES "^[A-Z*-]+$|^[a-z*-]{20,}$"
#define WHOLE "json.load(sys.stdin.buffer)"
#define LINES "map(json.loads,filter(bytes.strip,sys.stdin.buffer))"
/* Objects one behind the other, each over several lines. No text in JSON has a line break in it. */
#define OBJECTS                                                                              \
  "json.loads(\"[\"+re.sub(\"}[ \\t\\r]*\\n[ \\t\\r\\n]*{\",\"},{\",sys.stdin.buffer.read()" \
  ".decode(\"utf-8-sig\"))+\"]\")"

static plm_status say_records(const plm_foreign_look *look, const pairs *p, const char *what, const char *source) {
  char filter[1200], list[700], id[KEY_BYTES + 16] = "None";
  if (p->id[0] != '\0') snprintf(id, sizeof id, "r.get(\"%s\")", p->id);
  snprintf(list, sizeof list, "((%s,r.get(\"%s\")) for r in %s if isinstance(r,dict))", id, p->sequence, source);
  snprintf(filter, sizeof filter, PYTHON, list, ANY);
  return plm_foreign_filter(look, what, filter);
}

static plm_status say_pairs(const plm_foreign_look *look, const char *what, const char *source) {
  char filter[1200];
  snprintf(filter, sizeof filter, PYTHON, source, RESIDUES);
  return plm_foreign_filter(look, what, filter);
}

typedef enum shape { ONE, AN_OBJECT_A_LINE, OBJECTS_BELOW, NO_JSON } shape;

/* What comes behind the first object. A table may have one above it that tells of it. */
static shape shape_of(const plm_foreign_look *look) {
  int depth = 0;
  bool broken = false;
  plm_foreign_line text;
  if (look->text[0] != '{') return ONE;
  for (size_t at = 0; at < look->bytes;) {
    char c = look->text[at++];
    if (c == '"' && !quoted(look, &at, &text)) return ONE;
    broken = broken || c == '\n';
    depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    if (depth > 0) continue;
    char next = next_mark(look, at);
    if (next == '{') return broken ? OBJECTS_BELOW : AN_OBJECT_A_LINE;
    return next == '\0' ? ONE : NO_JSON;
  }
  return ONE;
}

plm_status plm_foreign_json_check(const plm_foreign_look *look) {
  char first = look->text[0], second = next_mark(look, 1);
  pairs p = {0};
  if (!(first == '{' && (second == '"' || second == '}')) && !(first == '[' && strchr("{[\"]", second) != NULL))
    return PLM_OK;
  shape kind = shape_of(look);
  if (kind == NO_JSON) return PLM_OK;
  look_for_pairs(look, &p);
  const char *what = kind == AN_OBJECT_A_LINE ? "JSON Lines" : "JSON";
  const char *objects = kind == AN_OBJECT_A_LINE ? LINES : kind == OBJECTS_BELOW ? OBJECTS : "[" WHOLE "]";
  bool found = p.sequence[0] != '\0', record = p.named || p.id[0] != '\0' || kind == OBJECTS_BELOW;
  if (found && first == '{' && p.depth == 1 && record) return say_records(look, &p, what, objects);
  if (found && first == '[' && p.depth == 2) return say_records(look, &p, what, WHOLE);
  if (found && first == '{' && p.depth == 1)
    return say_pairs(look, what,
                     kind == AN_OBJECT_A_LINE ? "(p for o in " LINES " for p in o.items())" : WHOLE ".items()");
  if (p.listed && first == '[') return say_pairs(look, what, "((None,s) for s in " WHOLE ")");
  plm_foreign_name(look, what);
  return plm_hint(PLM_E_INPUT, "write a line '>name' and a line of letters for each sequence in it");
}
