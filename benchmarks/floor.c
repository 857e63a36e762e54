/* Lower bound: the mapping of jobs.yaml and its checks, written by hand. Python threads call it (ctypes releases the GIL)
 * and compress its output. It writes the same records as batchsync, but computes no fingerprints and no row manifests, and
 * does not detect duplicate keys. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ID, TITLE, FIRST, LAST, GENDER, BIRTH, EMAIL, PHONE, MOBILE, STREET, STREET2, CITY, POSTCODE, STATE, COUNTRY,
       LANGUAGE, NATIONALITY, PASSPORT, EXPIRY, FIRST_SEEN, LAST_SEEN, LOYALTY, TIER, POINTS, SPEND, NEWSLETTER, NOTE,
       COLUMNS };

typedef struct { const char *at; int64_t size; } Field;
typedef struct { const uint8_t *valid; const int64_t *offsets; const char *data; int64_t kind, first; } Column;
typedef struct { int64_t rows, invalid, used, written; } Result;

static uint8_t escape_needed[256];
void prepare(void) {
    for (int i = 0; i < 32; i++) escape_needed[i] = 1;
    escape_needed['"'] = escape_needed['\\'] = 1;
}

/* SHA-1 of up to 119 bytes, enough for the name-based UUIDs here. */
static uint32_t rotate(uint32_t x, int n) { return (x << n) | (x >> (32 - n)); }
static void sha1_block(uint32_t *h, const uint8_t *p) {
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++) { uint32_t v; memcpy(&v, p + 4 * i, 4); w[i] = __builtin_bswap32(v); }
    for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) { f = (b & c) | (~b & d); k = 0x5A827999; }
        else if (i < 40) { f = b ^ c ^ d; k = 0x6ED9EBA1; }
        else if (i < 60) { f = (b & c) | (b & d) | (c & d); k = 0x8F1BBCDC; }
        else { f = b ^ c ^ d; k = 0xCA62C1D6; }
        uint32_t t = rotate(a, 5) + f + e + k + w[i];
        e = d; d = c; c = rotate(b, 30); b = a; a = t;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e;
}
static void uuid5(const uint8_t *space, const char *name, int64_t size, char *out) {
    uint8_t m[192] = {0};
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    if (size > 100) size = 100;
    memcpy(m, space, 16); memcpy(m + 16, name, size);
    int64_t n = size + 16; m[n] = 0x80;
    int64_t end = n + 9 <= 64 ? 64 : 128;
    uint64_t bits = __builtin_bswap64((uint64_t)n * 8); memcpy(m + end - 8, &bits, 8);
    for (int64_t i = 0; i < end; i += 64) sha1_block(h, m + i);
    uint8_t d[16];
    for (int i = 0; i < 4; i++) { uint32_t v = __builtin_bswap32(h[i]); memcpy(d + 4 * i, &v, 4); }
    d[6] = (d[6] & 0x0f) | 0x50; d[8] = (d[8] & 0x3f) | 0x80;
    static const char hex[] = "0123456789abcdef";
    for (int i = 0, o = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out[o++] = '-';
        out[o++] = hex[d[i] >> 4]; out[o++] = hex[d[i] & 15];
    }
}

/* Checks. Missing values pass. */
static int letter(uint8_t c) { return (c | 32) >= 'a' && (c | 32) <= 'z' ? 1 : c >= 0x80; }
static int digit(uint8_t c) { return c >= '0' && c <= '9'; }
static int is_email(Field f) {
    const uint8_t *p = (const uint8_t *)f.at, *end = p + f.size, *start = p;
    while (p < end && *p != '@') {
        if (*p <= ' ' || strchr("\"(),:;<>[]\\", *p)) return 0;
        p++;
    }
    if (p == start || p == end) return 0;
    const uint8_t *label = ++p, *last = 0;
    for (; p <= end; p++)
        if (p == end || *p == '.') {
            if (p == label || *label == '-') return 0;
            last = label; label = p + 1;
        } else if (!letter(*p) && !digit(*p) && *p != '-') return 0;
    if (last == (const uint8_t *)memchr(start, '@', f.size) + 1) return 0;
    int64_t characters = 0;
    for (const uint8_t *q = start; q < end; q++) characters += (*q & 0xC0) != 0x80;
    return letter(*last) && end - last >= 2 && characters <= 254;
}
static int one_of(Field f, const char *const *words) {
    for (; *words; words++) if ((int64_t)strlen(*words) == f.size && !memcmp(*words, f.at, f.size)) return 1;
    return 0;
}
static int letters(Field f, int upper) {
    for (int64_t i = 0; i < f.size; i++) {
        uint8_t c = f.at[i];
        if (!(c >= 'A' && c <= 'Z') && (upper || !(c >= 'a' && c <= 'z'))) return 0;
    }
    return f.size == 2;
}
static int two(const char *p) { return digit(p[0]) && digit(p[1]) ? (p[0] - '0') * 10 + p[1] - '0' : -1; }
static int is_moment(Field f, int millis) {
    const char *p = f.at;
    if (f.size < 17 || p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':' || p[f.size - 1] != 'Z') return 0;
    int year = two(p) * 100 + two(p + 2), month = two(p + 5), day = two(p + 8);
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (two(p) < 0 || two(p + 2) < 0 || month < 1 || month > 12 || day < 1 || day > days[month - 1]) return 0;
    if (month == 2 && day == 29 && (year % 4 || (year % 100 == 0 && year % 400))) return 0;
    if (two(p + 11) < 0 || two(p + 11) > 23 || two(p + 14) < 0 || two(p + 14) > 59) return 0;
    if (f.size == 17) return 1;
    if (f.size < 20 || p[16] != ':' || two(p + 17) < 0) return 0;
    if (f.size == 20) return 1;
    if (!millis || p[19] != '.' || f.size < 22 || f.size > 30) return 0;
    for (int64_t i = 20; i < f.size - 1; i++) if (!digit(p[i])) return 0;
    return 1;
}
static const char *const TITLES[] = {"Br", "Brigadier", "Capt", "Colonel", "Dame", "Dr", "Elder", "Fr", "General", "Hon",
    "Judge", "Lord", "Master", "Miss", "Mr", "Mrs", "Ms", "Mstr", "Prof", "Rabbi", "Rev", "Shaikha", "Sheikh", "Sir",
    "Sister", "Sr", 0};
static const char *const GENDERS[] = {"male", "female", "unknown", 0};
static const char *const STATUSES[] = {"PENDING", "SUBSCRIBED", "UNSUBSCRIBED", "UNKNOWN", 0};
static int64_t warnings;
static int good(const Field *f, const char *now) {
    int ok = f[ID].size && f[LOYALTY].size;
    if (f[TITLE].size && !one_of(f[TITLE], TITLES)) __atomic_fetch_add(&warnings, 1, __ATOMIC_RELAXED);
    if (f[EMAIL].size) ok &= is_email(f[EMAIL]);
    if (f[GENDER].size) ok &= one_of(f[GENDER], GENDERS);
    if (f[COUNTRY].size) ok &= letters(f[COUNTRY], 1);
    if (f[LANGUAGE].size) ok &= letters(f[LANGUAGE], 0);
    if (f[BIRTH].size) ok &= is_moment(f[BIRTH], 0) && memcmp(f[BIRTH].at, now, 16) <= 0;
    if (f[EXPIRY].size) ok &= is_moment(f[EXPIRY], 0);
    if (f[FIRST_SEEN].size) ok &= is_moment(f[FIRST_SEEN], 1);
    if (f[LAST_SEEN].size) ok &= is_moment(f[LAST_SEEN], 1);
    if (f[NEWSLETTER].size) ok &= one_of(f[NEWSLETTER], STATUSES);
    return ok;
}

static char *put(char *o, const char *s, size_t n) { memcpy(o, s, n); return o + n; }
#define PUT(text) (o = put(o, text, sizeof(text) - 1))
static char *escaped(char *o, Field f) {
    const uint8_t *p = (const uint8_t *)f.at;
    int64_t begin = 0;
    for (int64_t i = 0; i < f.size; i++)
        if (escape_needed[p[i]]) {
            o = put(o, f.at + begin, i - begin); begin = i + 1;
            switch (p[i]) {
                case '"': PUT("\\\""); break;
                case '\\': PUT("\\\\"); break;
                case '\n': PUT("\\n"); break;
                case '\r': PUT("\\r"); break;
                case '\t': PUT("\\t"); break;
                case '\f': PUT("\\f"); break;
                case '\b': PUT("\\b"); break;
                default: o += sprintf(o, "\\u%04x", p[i]);
            }
        }
    return put(o, f.at + begin, f.size - begin);
}
#define TEXT(label, i) if (f[i].size) { PUT(",\"" label "\":\""); o = escaped(o, f[i]); *o++ = '"'; }
static char *pair(char *o, Field one, Field other) {
    *o++ = '[';
    if (one.size) { *o++ = '"'; o = escaped(o, one); *o++ = '"'; }
    if (one.size && other.size) *o++ = ',';
    if (other.size) { *o++ = '"'; o = escaped(o, other); *o++ = '"'; }
    *o++ = ']';
    return o;
}
static char *record(char *o, const Field *f, const uint8_t *space) {
    char name[256] = "record\0guests\0";
    int64_t size = f[ID].size > 80 ? 80 : f[ID].size;
    memcpy(name + 14, f[ID].at, size);
    PUT("{\"ref\":\""); uuid5(space, name, 14 + size, o); o += 36;
    PUT("\",\"schema\":\"guest\",\"mode\":\"upsert\",\"value\":{\"guestType\":\"customer\"");
    TEXT("title", TITLE) TEXT("firstName", FIRST) TEXT("lastName", LAST) TEXT("gender", GENDER)
    TEXT("dateOfBirth", BIRTH) TEXT("email", EMAIL)
    if (f[PHONE].size || f[MOBILE].size) { PUT(",\"phoneNumbers\":"); o = pair(o, f[PHONE], f[MOBILE]); }
    TEXT("language", LANGUAGE) TEXT("nationality", NATIONALITY) TEXT("passportNumber", PASSPORT)
    TEXT("passportExpiry", EXPIRY)
    if (f[STREET].size || f[STREET2].size) { PUT(",\"street\":"); o = pair(o, f[STREET], f[STREET2]); }
    TEXT("city", CITY) TEXT("country", COUNTRY) TEXT("postCode", POSTCODE) TEXT("state", STATE)
    TEXT("firstSeen", FIRST_SEEN) TEXT("lastSeen", LAST_SEEN)
    PUT(",\"identifiers\":[{\"provider\":\"CRM\",\"id\":\""); o = escaped(o, f[ID]);
    PUT("\"},{\"provider\":\"LOYALTY\",\"id\":\""); o = escaped(o, f[LOYALTY]);
    PUT("\"}],\"extensions\":[{\"name\":\"ext\",\"key\":\"default\"");
    TEXT("tier", TIER)
    PUT(",\"points\":"); o = put(o, f[POINTS].at, f[POINTS].size);
    int64_t spend = f[SPEND].size;
    if (spend > 2 && !memcmp(f[SPEND].at + spend - 2, ".0", 2)) spend -= 2; /* an integral float is written without .0 */
    PUT(",\"spend\":"); o = put(o, f[SPEND].at, spend);
    TEXT("note", NOTE)
    PUT("}],\"subscriptions\":[{\"name\":\"newsletter\",\"channel\":\"EMAIL\",\"pointOfSale\":\"shop.example.com\"");
    TEXT("status", NEWSLETTER) TEXT("effectiveDate", LAST_SEEN)
    PUT("}]}}\n");
    return o;
}

static const char EMPTY = 0;
/* Encode rows of Arrow columns; kinds: 0 text, 1 integer, 2 float with two decimals, 3 milliseconds. */
Result from_columns(const Column *c, int64_t begin, int64_t rows, char *out, const uint8_t *space, const char *now) {
    Result result = {0};
    char *o = out, scratch[4][40];
    for (int64_t r = begin; r < begin + rows; r++) {
        Field f[COLUMNS];
        int used = 0;
        for (int i = 0; i < COLUMNS; i++) {
            int64_t b = r + c[i].first;
            if (c[i].valid && !(c[i].valid[b >> 3] >> (b & 7) & 1)) { f[i] = (Field){&EMPTY, 0}; continue; }
            if (c[i].kind == 0) {
                f[i] = (Field){c[i].data + c[i].offsets[r], c[i].offsets[r + 1] - c[i].offsets[r]};
                continue;
            }
            char *s = scratch[used++];
            int64_t n;
            if (c[i].kind == 1) n = sprintf(s, "%lld", (long long)((const int64_t *)c[i].data)[r]);
            else if (c[i].kind == 2) {
                long long cents = (long long)(((const double *)c[i].data)[r] * 100 + 0.5);
                n = sprintf(s, "%lld.%02lld", cents / 100, cents % 100);
                if (s[n - 1] == '0') n--;
            } else {
                int64_t ms = ((const int64_t *)c[i].data)[r], z = ms / 86400000 + 719468, rest = ms % 86400000;
                int64_t era = z / 146097, doe = z - era * 146097;
                int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
                int64_t mp = (5 * doy + 2) / 153, d = doy - (153 * mp + 2) / 5 + 1, m = mp < 10 ? mp + 3 : mp - 9;
                n = sprintf(s, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)(yoe + era * 400 + (m <= 2)), (int)m, (int)d,
                            (int)(rest / 3600000), (int)(rest / 60000 % 60), (int)(rest / 1000 % 60), (int)(rest % 1000));
            }
            f[i] = (Field){s, n};
        }
        result.rows++;
        if (good(f, now)) o = record(o, f, space); else result.invalid++;
    }
    result.written = o - out;
    return result;
}

/* Encode rows of CSV text; stops at the end of the text, or before an incomplete record. */
Result from_csv(char *text, int64_t size, int64_t final, char *out, const uint8_t *space, const char *now) {
    Result result = {0};
    char *o = out, *p = text, *end = text + size;
    while (p < end) {
        Field f[COLUMNS];
        char *start = p;
        int i = 0, whole = 0;
        while (i < COLUMNS) {
            if (p < end && *p == '"') {
                char *w = ++p, *from = p;
                for (;;) {
                    char *q = memchr(p, '"', end - p);
                    if (!q) { p = end; break; }
                    if (w != p) memmove(w, p, q - p);
                    w += q - p; p = q + 1;
                    if (p < end && *p == '"') { *w++ = '"'; p++; continue; }
                    break;
                }
                f[i] = (Field){from, w - from};
            } else {
                char *from = p;
                while (p < end && *p != ',' && *p != '\n') p++;
                f[i] = (Field){from, p - from};
            }
            i++;
            if (p < end && *p == '\n') { p++; whole = i == COLUMNS; break; }
            if (p >= end) { whole = final && i == COLUMNS; break; }
            p++;
        }
        if (!whole) { p = start; break; }
        while (f[SPEND].size > 1 && f[SPEND].at[f[SPEND].size - 1] == '0' && f[SPEND].at[f[SPEND].size - 2] != '.') f[SPEND].size--;
        result.rows++;
        if (good(f, now)) o = record(o, f, space); else result.invalid++;
    }
    result.used = p - text;
    result.written = o - out;
    return result;
}

/* Return the end of the last complete record of a text, by the parity of quotation marks. */
int64_t last_end(const char *text, int64_t size) {
    int64_t found = 0;
    int open = 0;
    for (int64_t i = 0; i < size; i++) {
        if (text[i] == '"') open ^= 1;
        else if (text[i] == '\n' && !open) found = i + 1;
    }
    return found;
}
