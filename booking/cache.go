package booking

import (
	"strings"
	"sync"
)

// maxCached bounds the resources kept in memory.
const maxCached = 1024

// cache keeps the rules of resources by id and by slug, so that a hold needs no round
// trip to read them. It may be behind the database, and may even hold what a transaction
// wrote and then rolled back: the statements that use it name the version, and a refusal
// is checked against the database before it is given. What does not exist is not
// remembered.
type cache struct {
	mu   sync.Mutex
	byID map[string]*rules
	// ids leads from a slug to the id.
	ids map[string]string
}

func (c *cache) get(idOrSlug string) (*rules, bool) {
	if isID(idOrSlug) {
		idOrSlug = strings.ToLower(idOrSlug)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.byID[idOrSlug]; ok {
		return r, true
	}
	r, ok := c.byID[c.ids[idOrSlug]]
	return r, ok
}

func (c *cache) put(r *rules) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byID, c.ids = map[string]*rules{}, map[string]string{}
	}
	if old, ok := c.byID[r.ID]; ok {
		c.forget(old)
	} else if len(c.byID) >= maxCached {
		// Any one will do: whoever needs it reads it again.
		for _, other := range c.byID {
			c.forget(other)
			break
		}
	}
	c.byID[r.ID] = r
	c.ids[r.Slug] = r.ID
}

// forget drops a resource. Its slug may lead to another one meanwhile.
func (c *cache) forget(r *rules) {
	delete(c.byID, r.ID)
	if c.ids[r.Slug] == r.ID {
		delete(c.ids, r.Slug)
	}
}
