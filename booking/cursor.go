package booking

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// position is where a page ends: the keys of the last booking that was looked at.
type position struct {
	// start counts in orders by start only.
	start time.Time
	id    string
}

// A cursor is, in base64: the first bytes of a hash of the order and the filters, the
// start in microseconds, the id.
const (
	cursorHash = 8
	cursorSize = cursorHash + 8 + 16
)

// fingerprint tells lists apart that differ in their order or a filter. The options are
// normal.
func (o ListOptions) fingerprint() []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "1 %q %q %q %q %q %q %d %d",
		o.Order, o.Statuses, o.Kind, o.Resource, strings.ToLower(o.Customer), o.Reference, o.From.UnixMicro(),
		o.To.UnixMicro()))
	return sum[:cursorHash]
}

// cursor writes a place of this list.
func (o ListOptions) cursor(at position) string {
	raw := o.fingerprint()
	var start int64
	if o.Order.byStart() {
		start = at.start.UnixMicro()
	}
	raw = binary.BigEndian.AppendUint64(raw, uint64(start))
	id := uuid.MustParse(at.id) // Postgres wrote it.
	return base64.RawURLEncoding.EncodeToString(append(raw, id[:]...))
}

// position reads the cursor the list goes on from, if there is one, or says what is wrong
// with it.
func (o ListOptions) position() (*position, string) {
	if o.After == "" {
		return nil, ""
	}
	if len(o.After) != base64.RawURLEncoding.EncodedLen(cursorSize) {
		return nil, "is not where a page ended"
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(o.After)
	if err != nil {
		return nil, "is not where a page ended"
	}
	if !bytes.Equal(raw[:cursorHash], o.fingerprint()) {
		return nil, "belongs to a list with another order or other filters"
	}
	at := position{
		start: time.UnixMicro(int64(binary.BigEndian.Uint64(raw[cursorHash:]))).UTC(),
		id:    uuid.UUID(raw[cursorHash+8:]).String(),
	}
	// The place stands for the bound of the range on its side, and is within it: only
	// what was written by hand is not.
	if o.Order.byStart() && (at.start.Year() < 1 || at.start.Year() > 9999 ||
		!o.From.IsZero() && at.start.Before(o.From) || !o.To.IsZero() && !at.start.Before(o.To)) {
		return nil, "is not where a page ended"
	}
	return &at, ""
}
