package middleware

import (
	"io"
	"net/http"
)

// watched tells the connection of a request when it waits for its client: from the first
// read of the body to its end, and again when the answer has been made and is on its way.
func watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(*conn)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		if r.Body != http.NoBody {
			r = r.WithContext(r.Context())
			r.Body = &body{ReadCloser: r.Body, conn: c}
		}
		next.ServeHTTP(w, r)
		// What has not been read of the body is now waited for by the server, and so is
		// room for the answer.
		c.waits()
	})
}

type body struct {
	io.ReadCloser
	conn    *conn
	reading bool
}

func (b *body) Read(p []byte) (int, error) {
	if !b.reading {
		b.reading = true
		b.conn.waits()
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.conn.works()
	}
	return n, err
}
