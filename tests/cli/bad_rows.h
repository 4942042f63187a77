/* bad_rows.h - the table of bad input: what protlm is given, and how it must answer. test_bad_input.c runs it.
 *
 * A row's bytes become a file; what `{}` means in its command depends on the kind. Code 0 rows are odd but legal.
 */
#ifndef TESTS_CLI_BAD_ROWS_H
#define TESTS_CLI_BAD_ROWS_H

#include <stddef.h>

typedef enum bad_kind {
  /* {} = a sequence file of these bytes; also given to train, which must answer alike and make no output directory */
  BAD_DATA,
  BAD_WEIGHTS, /* {} = a model directory whose model.safetensors is: length, this header, `data` zero bytes */
  BAD_RAW,     /* {} = a model directory whose model.safetensors is exactly these bytes */
  BAD_CONFIG,  /* {} = a model directory with this config.json */
  BAD_OPTIONS, /* {} = a good FASTA file; OUT in the command = an output directory that must not appear */
} bad_kind;

typedef struct bad_row {
  bad_kind kind;
  const char *file; /* name of the file; for BAD_OPTIONS the command line; for models what is wrong, in words */
  const char *bytes;
  size_t length;
  size_t data; /* BAD_WEIGHTS: bytes after the header */
  int code;
  const char *words;  /* what, where or why: on stderr, or for code 0 on stdout */
  const char *remedy; /* what to do, on stderr; NULL = not asked for */
} bad_row;

#define BYTES(text) (text), sizeof(text) - 1

#define DATA(file, text, code, words, remedy) \
  { BAD_DATA, file, BYTES(text), 0, code, words, remedy }
#define WEIGHTS(what, header, data, words) \
  { BAD_WEIGHTS, what, BYTES(header), data, 3, words, NULL }
#define RAW(what, text, words) \
  { BAD_RAW, what, BYTES(text), 0, 3, words, NULL }
#define CONFIG(what, text, words) \
  { BAD_CONFIG, what, BYTES(text), 0, 3, words, NULL }
#define OPTIONS(line, code, words, remedy) \
  { BAD_OPTIONS, line, NULL, 0, 0, code, words, remedy }

#define TRAIN "train --model esm2_t6_8M --train {} --output-dir OUT "
#define T(offsets) "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" offsets "}}"
#define A(dtype, shape, offsets) "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(first, second)                                          \
  "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" first \
  "},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" second "}}"
#define SHAPE(sizes)                                                                                                                 \
  "{\"model_type\":\"esm\",\"vocab_size\":33,\"token_dropout\":true,\"position_embedding_type\":\"rotary\",\"layer_norm_eps\":1e-5," \
  "\"mask_token_id\":32,\"pad_token_id\":1," sizes "}"
#define GOOD_SIZES "\"hidden_size\":24,\"num_hidden_layers\":3,\"num_attention_heads\":3,\"intermediate_size\":50"

static const bad_row bad_rows[] = {
    /* ---- sequence files ---- */
    DATA("empty.fasta", "", 3, "empty.fasta: the file is empty", NULL),
    DATA("binary.fasta",
         "\x7f"
         "ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0>\0\1\0\0\0",
         3, "binary file, not FASTA", "FASTA"),
    DATA(
        "cut.fasta.gz",
        "\037\213\010\000\000\000\000\000\002\003\005\301\113\012\003\061\010\000\320\175\017\125\010\211\106\361\303\230\021\203\313\336\377\022\175\357\373\373\274\167\163\065\166\234\152\015\237\212\234\267\036\125\045\215\343\152\211\115\051\231\270\324\251\140\325\143\156\147\255\333",
        3, "cut short", "gzip -t"),
    DATA("no_record.fasta", "\n\n\n", 3, "no_record.fasta", NULL),
    DATA("prose.txt", "Dear all,\nplease find attached\n", 3, "prose.txt:1: text before the first '>'", "'>name'"),
    DATA("only_empty.fasta", ">a\n>b\n\n>c\n", 3, "all 3 records are empty", NULL),
    DATA("mac.fasta", ">a\rMKV\r>b\rMK\r", 3, "mac.fasta:1: a carriage return", "awk '"),
    DATA("reads.fastq", "@r1\nACGT\n+\nIIII\n", 3, "FASTQ", "protein"),
    DATA("nul.fasta", ">a\nMK\0V\n", 3, "nul.fasta:2: a NUL byte", "copy the file again"),
    DATA("digits.fasta", ">a\nMKV\n>b\nMK5V\n", 3, "digits.fasta:4: '5'", "--on-invalid"),
    DATA("damaged.h5", "\x89HDF\r\n\x1a\n\0\0\0\0", 3, "damaged.h5", NULL),
    DATA("damaged.plmd", "PLMDATA1\0\0\0\0", 3, "damaged.plmd", NULL),
    DATA("crlf.fasta", ">a x\r\nMKV\r\nLAG\r\n>b\r\nMK\r\n", 0, "<cls> M K V L A G <eos>", NULL),
    DATA("no_final_newline.fasta", ">a\nMKV", 0, "<cls> M K V <eos>", NULL),
    DATA("lower.fasta", ">a\nmkvX\n", 0, "3 lower-case residues read as upper case", NULL),
    DATA("stops.fasta", ">a\nMK*V*\n", 0, "<cls> M K X V <eos>", NULL),
    DATA("duplicates.fasta", ">a\nMKV\n>a\nMKL\n", 0, "2 sequences", NULL),
    DATA("some_empty.fasta", ">a\n>b\nMKV\n", 0, "1 sequence", NULL),
    DATA("name with spaces.fasta", ">a\nMKV\n", 0, "<cls> M K V <eos>", NULL),
    DATA("na\xc3\xafve.fasta", ">a\nMKV\n", 0, "<cls> M K V <eos>", NULL),

    /* ---- model.safetensors: rules 1 to 9 of the format's reader, in order ---- */
    RAW("shorter than its length field", "\1\2\3", "model.safetensors"),
    RAW("header length over the limit", "\1\xe1\xf5\5\0\0\0\0{}", "model.safetensors"),
    RAW("header length beyond the file", "\xff\0\0\0\0\0\0\0{}", "model.safetensors"),
    RAW("header length that overflows", "\xff\xff\xff\xff\xff\xff\xff\xff{}", "model.safetensors"),
    WEIGHTS("invalid UTF-8", "{\"a\xff\":1}", 0, "model.safetensors"),
    WEIGHTS("no JSON", "{\"a\":", 0, "model.safetensors"),
    WEIGHTS("an array", "[]", 0, "model.safetensors"),
    WEIGHTS("white space before the object", " {}", 0, "model.safetensors"),
    WEIGHTS("something after the object", "{}x", 0, "model.safetensors"),
    WEIGHTS(
        "a name twice",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
        4, "a"),
    WEIGHTS("metadata that is no object", "{\"__metadata__\":3}", 0, "__metadata__"),
    WEIGHTS("metadata with a number", "{\"__metadata__\":{\"format\":1}}", 0, "__metadata__"),
    WEIGHTS("an entry that is no object", "{\"a\":3}", 0, "a"),
    WEIGHTS("no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype"),
    WEIGHTS("a dtype that is a number", A("7", "[1]", "[0,4]"), 4, "dtype"),
    WEIGHTS("a shape that is a number", A("\"F32\"", "1", "[0,4]"), 4, "shape"),
    WEIGHTS("a negative size", A("\"F32\"", "[-1]", "[0,4]"), 4, "shape"),
    WEIGHTS("a size of 1.0", A("\"F32\"", "[1.0]", "[0,4]"), 4, "shape"),
    WEIGHTS("a size of 1e0", A("\"F32\"", "[1e0]", "[0,4]"), 4, "shape"),
    WEIGHTS("a size over 2^63", A("\"F32\"", "[9223372036854775808]", "[0,4]"), 4, "model.safetensors"),
    WEIGHTS("three offsets", T("[0,4,8]"), 8, "data_offsets"),
    WEIGHTS("a negative offset", T("[-8,0]"), 8, "data_offsets"),
    WEIGHTS("a member too many", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "a"),
    WEIGHTS("offsets the wrong way round", T("[8,0]"), 8, "a"),
    WEIGHTS("an end beyond the file", T("[0,8]"), 4, "model.safetensors"),
    WEIGHTS("a product that overflows", A("\"F32\"", "[4294967296,4294967296,4]", "[0,4]"), 4, "a"),
    WEIGHTS("a size that is not the shape's", A("\"F32\"", "[3]", "[0,8]"), 8, "a"),
    WEIGHTS("half a byte", A("\"F4\"", "[1]", "[0,0]"), 0, "a"),
    WEIGHTS("a hole before the first tensor", T("[4,12]"), 12, "model.safetensors"),
    WEIGHTS("a hole between tensors", TWO("[0,8]", "[12,20]"), 20, "model.safetensors"),
    WEIGHTS("tensors that overlap", TWO("[0,8]", "[4,12]"), 12, "model.safetensors"),
    WEIGHTS("bytes after the last tensor", T("[0,8]"), 12, "model.safetensors"),
    WEIGHTS("deep nesting", "{\"a\":[[[[[[[[[[[[1]]]]]]]]]]]]}", 0, "model.safetensors"),
    WEIGHTS("a NUL in a name", "{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
            "model.safetensors"),
    WEIGHTS("half a surrogate pair", "{\"\\ud800\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
            "model.safetensors"),
    WEIGHTS("no tensor at all", "{}", 0, "esm."),
    WEIGHTS("a tensor of another type",
            "{\"esm.embeddings.word_embeddings.weight\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8,
            "esm."),

    /* ---- config.json ---- */
    CONFIG("empty", "", "config.json"),
    CONFIG("no JSON", "{\"hidden_size\": ", "config.json"),
    CONFIG("an array", "[1]", "config.json"),
    CONFIG("binary",
           "\x7f"
           "ELF\2\1\1\0",
           "config.json"),
    CONFIG(
        "deep nesting",
        "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
        "config.json"),
    CONFIG("a name twice", "{\"model_type\":\"esm\",\"model_type\":\"esm\"}", "config.json"),
    CONFIG("another kind of model", "{\"model_type\":\"llama\"}", "llama"),
    CONFIG("no hidden size", SHAPE("\"num_hidden_layers\":3,\"num_attention_heads\":3,\"intermediate_size\":50"),
           "hidden_size"),
    CONFIG("a negative size",
           SHAPE("\"hidden_size\":-24,\"num_hidden_layers\":3,\"num_attention_heads\":3,\"intermediate_size\":50"),
           "hidden_size"),
    CONFIG("a size that is a text",
           SHAPE("\"hidden_size\":\"24\",\"num_hidden_layers\":3,\"num_attention_heads\":3,\"intermediate_size\":50"),
           "hidden_size"),
    CONFIG(
        "sizes that overflow",
        SHAPE(
            "\"hidden_size\":9223372036854775806,\"num_hidden_layers\":3,\"num_attention_heads\":3,\"intermediate_size\":50"),
        "hidden_size"),
    CONFIG(
        "more layers than bytes",
        SHAPE(
            "\"hidden_size\":24,\"num_hidden_layers\":4611686018427387904,\"num_attention_heads\":3,\"intermediate_size\":50"),
        "num_hidden_layers"),
    CONFIG("heads that do not divide",
           SHAPE("\"hidden_size\":24,\"num_hidden_layers\":3,\"num_attention_heads\":5,\"intermediate_size\":50"),
           "num_attention_heads"),
    CONFIG("an odd head width",
           SHAPE("\"hidden_size\":27,\"num_hidden_layers\":3,\"num_attention_heads\":3,\"intermediate_size\":50"),
           "num_attention_heads"),
    CONFIG("no attention head",
           SHAPE("\"hidden_size\":24,\"num_hidden_layers\":3,\"num_attention_heads\":0,\"intermediate_size\":50"),
           "num_attention_heads"),
    CONFIG("a folding model", SHAPE(GOOD_SIZES ",\"is_folding_model\":true"), "folding"),
    CONFIG("another rope", SHAPE(GOOD_SIZES ",\"rope_theta\":500000"), "rope_theta"),
    CONFIG("untied embeddings", SHAPE(GOOD_SIZES ",\"tie_word_embeddings\":false"), "tie_word_embeddings"),
    CONFIG("absolute positions",
           "{\"model_type\":\"esm\",\"vocab_size\":33,\"position_embedding_type\":\"absolute\"," GOOD_SIZES "}",
           "position_embedding_type"),
    CONFIG("a small vocabulary",
           "{\"model_type\":\"esm\",\"vocab_size\":20,\"position_embedding_type\":\"rotary\"," GOOD_SIZES "}",
           "vocab_size"),

    /* ---- options ---- */
    OPTIONS("trian", 2, "'trian'", "protlm train"),
    OPTIONS("inspect bach", 2, "'inspect bach'", "protlm inspect batch"),
    OPTIONS("verify", 2, "'verify'", "protlm ckpt verify"),
    OPTIONS("--train {}", 2, "'--train'", "the command comes first"),
    OPTIONS(TRAIN "--frobnicate", 2, "--frobnicate", "--help"),
    OPTIONS(TRAIN "--learning-rat 1", 2, "--learning-rat", "--learning-rate"),
    OPTIONS(TRAIN "--learn 1", 2, "--learn", "--learning-rate"),
    OPTIONS(TRAIN "--quite", 2, "--quite", "--quiet"),
    OPTIONS(TRAIN "-learning-rate 1", 2, "-learning-rate", "--learning-rate"),
    OPTIONS(TRAIN "--learning-rate", 2, "--learning-rate needs a value", NULL),
    OPTIONS(TRAIN "--learning-rate fast", 2, "--learning-rate fast", NULL),
    OPTIONS(TRAIN "--learning-rate -1", 2, "--learning-rate", NULL),
    OPTIONS(TRAIN "--learning-rate nan", 2, "--learning-rate nan", NULL),
    OPTIONS(TRAIN "--max-steps 1.5", 2, "--max-steps 1.5", NULL),
    OPTIONS(TRAIN "--max-steps 99999999999999999999", 2, "--max-steps", NULL),
    OPTIONS(TRAIN "--threads 0", 2, "--threads 0: must be between 1 and", NULL),
    OPTIONS(TRAIN "--mask-probability 1.5", 2, "--mask-probability 1.5", NULL),
    OPTIONS(TRAIN "--adam-beta1 1", 2, "--adam-beta1 1", NULL),
    OPTIONS(TRAIN "--lr-scheduler-type cosin", 2, "--lr-scheduler-type cosin", "cosine"),
    OPTIONS(TRAIN "--dtype fp64", 2, "--dtype fp64: must be one of fp32, bf16", NULL),
    OPTIONS(TRAIN "--fp16", 2, "--fp16", "--dtype bf16"),
    OPTIONS(TRAIN "--report-to wandb", 2, "--report-to", "leave this out"),
    OPTIONS(TRAIN "--seed 1 --seed 2", 2, "--seed given twice", NULL),
    OPTIONS(TRAIN "--batch-tokens 100 --max-length 200", 2, "--batch-tokens 100", "--max-length"),
    OPTIONS(TRAIN "--batch-tokens 1K --per-device-train-batch-size 4", 2, "--per-device-train-batch-size", "give one"),
    OPTIONS(TRAIN "--gradient-accumulation-steps 4", 2, "--gradient-accumulation-steps", NULL),
    OPTIONS(TRAIN "--eval {} --eval-fraction 0.5", 2, "--eval-fraction", "give one"),
    OPTIONS(TRAIN "--early-stopping-patience 3", 2, "--early-stopping-patience", "--eval"),
    OPTIONS(TRAIN "--max-steps 10 --warmup-steps 10", 2, "--warmup-steps", NULL),
    OPTIONS(TRAIN "--bf16 --dtype fp32", 2, "--bf16", "give one"),
    OPTIONS(TRAIN "--num-attention-heads 7", 2, "--num-attention-heads", NULL),
    OPTIONS(TRAIN "--config /no/such/file.yaml", 3, "/no/such/file.yaml", NULL),
    OPTIONS(TRAIN "stray", 2, "stray", NULL),
    OPTIONS("train --train {} --output-dir OUT", 2, "--model", "--model"),
    OPTIONS("train --model esm2_t6_8M --output-dir OUT", 2, "no training data", "--train"),
    OPTIONS("train --model esm2_t6_8M --train {}", 2, "--output-dir", "--output-dir"),
    OPTIONS("train --model esm2_t6_8m --train {} --output-dir OUT", 2, "esm2_t6_8m", "esm2_t6_8M"),
    OPTIONS("train --model ./nothing/here --train {} --output-dir OUT", 3, "./nothing/here", "directory"),
    OPTIONS("train --model facebook/esm2_t6_8M_UR50D --train {} --output-dir OUT", 3, "facebook/esm2_t6_8M_UR50D",
            "hf download"),
    OPTIONS("train --model esm2_t48_15B --train {} --output-dir OUT", 6, "memory", NULL),
    OPTIONS("eval --model esm2_t6_8M --data {}", 2, "no weights", "--random-weights"),
    OPTIONS("eval --data {}", 2, "--model is missing", "--model"),
    OPTIONS("eval --model esm2_t6_8M --random-weights", 2, "--data is missing", "--data"),
    OPTIONS("eval --model esm2_t6_8M --random-weights --data {} --protocol hf --random-tokens aa", 2, "contradict",
            NULL),
    OPTIONS("eval --model esm2_t6_8M --random-weights --data {} --output /", 6, "is a directory", NULL),
    OPTIONS("eval --model esm2_t6_8M --random-weights --data {} --output /no/such/place/x.tsv", 6, "/no/such/place",
            "mkdir"),
    OPTIONS("inspect forward --model esm2_t6_8M --random-weights --fasta {} --layers 9", 2, "--layers 9", NULL),
    OPTIONS("inspect forward --model esm2_t6_8M --random-weights --fasta {} --slice logit[0]", 2, "logit", "logits"),
    OPTIONS("inspect batch --model esm2_t6_8M --train {} --step 0", 2, "--step 0: must be at least 1", NULL),
    OPTIONS(TRAIN "--num-hidden-layers 1000 --hidden-size 1000000 --num-attention-heads 1", 6, "this run needs",
            "smaller model"),
    OPTIONS("ckpt ls", 2, "no run directory", "protlm ckpt ls"),
    OPTIONS("ckpt verify /no/such/run", 2, "/no/such/run", NULL),
    OPTIONS("report /no/such/run", 2, "/no/such/run", NULL),
};
enum { BAD_ROWS = sizeof bad_rows / sizeof *bad_rows };

#endif
