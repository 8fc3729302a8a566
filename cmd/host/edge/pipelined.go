package edge

import (
	"net/http"
	"time"
)

// maxPace is what a pipelined request waits at most. It leaves half of an answer's time to the request itself.
const maxPace = 10 * time.Second

// paced has requests wait that were sent before the answer to the one before was read: a second for the first of a connection, one more for each that
// follows. HTTP/1.1 allows them, and no browser, library or proxy in use sends them; whoever does can ask without end and read nothing, and would keep the
// processor busy for nobody. Such a connection is not cut, because its client would come again, and cost more; while it waits it counts as waiting for its
// client, so a newcomer can have its place.
func (cs *Connections) paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok && !c.read.Load() {
			c.early++
			if !c.rest(min(time.Duration(c.early)*time.Second, maxPace)) {
				// Nobody is left to be answered.
				panic(http.ErrAbortHandler)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// rest waits for a time, and tells whether the connection is still there.
func (c *conn) rest(d time.Duration) bool {
	if c.waits() {
		defer c.works()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ended:
		return false
	}
}

// Read notes that the client was waited for. A request for which that was not needed had been sent before the answer to the one before was there.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.read.Store(true)
	}
	return n, err
}
