package booking

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// ResourceListOptions configure [Store.ListResources]; the zero value selects all
// resources that can be booked.
type ResourceListOptions struct {
	// After is the [ResourcePage.Next] of the previous page; "" for the first.
	After string
	// Limit is the size of the page; 0 means all.
	Limit int
	// Search selects the resources whose name or slug contains each of its words,
	// compared without case; at most 100 characters.
	Search string
	// Inactive includes resources that cannot be booked.
	Inactive bool
}

// ResourcePage is a part of the list of resources.
type ResourcePage struct {
	// Resources are ordered by name, in the database's collation, and id.
	Resources []Resource
	// Next is the [ResourceListOptions.After] of the next page; "" on the last.
	Next string
	// Total is the number on all pages.
	Total int
	// Version changes with every committed change of a resource, its hours or its offers,
	// whichever resources the page has.
	Version string
}

// ListResources returns a page of the resources by name. A page continues after the last
// resource of the one before, where that is in the list by then, so resources that are
// renamed meanwhile may occur twice or not at all.
//
// The process keeps one list of all resources in memory, about 1 kB each. Each call asks
// the database whether it is current, and shares the question with calls that wait for
// the same; so the result has every change that was committed before the call, on any
// replica. One round trip, which reads the versions of all resources, and one more if the
// list has changed.
//
// A [*ValidationError] names after, limit or search.
func (s *Store) ListResources(ctx context.Context, opts ResourceListOptions) (ResourcePage, error) {
	page, err := s.listResources(ctx, opts)
	return page, wrap(ctx, "list resources", err)
}

// ResourcesVersion returns the [ResourcePage.Version] of the current list; see
// [Store.ListResources] for its cost.
func (s *Store) ResourcesVersion(ctx context.Context) (string, error) {
	list, err := s.currentResources(ctx)
	if err != nil {
		return "", wrap(ctx, "version of the resources", err)
	}
	return list.version, nil
}

// Resources returns the active resources, by name; see [Store.ListResources] for its
// cost.
func (s *Store) Resources(ctx context.Context) ([]Resource, error) {
	page, err := s.listResources(ctx, ResourceListOptions{})
	return page.Resources, wrap(ctx, "resources", err)
}

// AllResources returns all resources, active or not, by name; see [Store.ListResources]
// for its cost.
func (s *Store) AllResources(ctx context.Context) ([]Resource, error) {
	page, err := s.listResources(ctx, ResourceListOptions{Inactive: true})
	return page.Resources, wrap(ctx, "resources", err)
}

func (s *Store) listResources(ctx context.Context, opts ResourceListOptions) (ResourcePage, error) {
	p := problems{}
	if opts.Limit < 0 {
		p.add("limit", "must not be negative")
	}
	if opts.After != "" && !isID(opts.After) {
		p.add("after", "is not where a page ended")
	}
	p.add("search", valid.Storable(opts.Search, 100, ""))
	if err := p.err(); err != nil {
		return ResourcePage{}, err
	}
	list, err := s.currentResources(ctx)
	if err != nil {
		return ResourcePage{}, err
	}
	return list.page(opts)
}

// listedResources is the list of all resources at one version. It is never changed.
type listedResources struct {
	version string
	all     []Resource
	// texts are what Search looks in, by the index of the resource.
	texts []string
	// places are the indexes in all by id.
	places map[string]int
}

func (l *listedResources) page(opts ResourceListOptions) (ResourcePage, error) {
	page := ResourcePage{Resources: []Resource{}, Version: l.version}
	first := 0
	if opts.After != "" {
		last, found := l.places[strings.ToLower(opts.After)]
		if !found {
			return ResourcePage{}, problems{"after": "names a resource that does not exist any more"}.err()
		}
		first = last + 1
	}
	words := strings.Fields(strings.ToLower(opts.Search))
	for i, r := range l.all {
		missing := func(word string) bool { return !strings.Contains(l.texts[i], word) }
		if r.Inactive && !opts.Inactive || slices.ContainsFunc(words, missing) {
			continue
		}
		page.Total++
		switch n := len(page.Resources); {
		case i < first:
		case opts.Limit == 0 || n < opts.Limit:
			page.Resources = append(page.Resources, r.clone())
		case page.Next == "":
			page.Next = page.Resources[n-1].ID
		}
	}
	return page, nil
}

// clone returns the resource for a caller, who may modify it.
func (r Resource) clone() Resource {
	r.Hours = slices.Clone(r.Hours)
	r.Exceptions = slices.Clone(r.Exceptions)
	for i := range r.Exceptions {
		r.Exceptions[i].Hours = slices.Clone(r.Exceptions[i].Hours)
	}
	r.Offers = slices.Clone(r.Offers)
	return r
}

// The version of a resource is random and renewed by triggers with every change, so the
// set of versions differs after every commit. A counter would need a lock that orders the
// commits of all resources, and max(updated_at) misses a transaction that began earlier
// and committed later.
const (
	resourcesVersionSQL = `
SELECT count(*) AS n, COALESCE(bit_xor(uuid_hash_extended(r.version, 0)), 0) AS hash
FROM booking_platform.resources r`

	// Grouped once for all resources, not looked up for each.
	listResourcesSQL = `
SELECT uuid_hash_extended(r.version, 0) AS hash,` + resourceOwnColumns + `,
    COALESCE(h.list, '[]')::text AS hours, COALESCE(e.list, '[]')::text AS exceptions,
    COALESCE(o.list, '[]')::text AS offers
FROM booking_platform.resources r
LEFT JOIN (SELECT h.resource_id, ` + hoursJSON + ` AS list
    FROM booking_platform.opening_hours h GROUP BY h.resource_id) h ON h.resource_id = r.id
LEFT JOIN (SELECT e.resource_id, ` + exceptionsJSON + ` AS list
    FROM booking_platform.opening_exceptions e GROUP BY e.resource_id) e ON e.resource_id = r.id
LEFT JOIN (SELECT o.resource_id, ` + offersJSON + ` AS list
    FROM booking_platform.offers o GROUP BY o.resource_id) o ON o.resource_id = r.id
ORDER BY r.name, r.id`
)

type resourcesVersionRow struct {
	N    int   `db:"n"`
	Hash int64 `db:"hash"`
}

func (v resourcesVersionRow) String() string { return fmt.Sprintf("%d.%d", v.N, v.Hash) }

type listedResourceRow struct {
	resourceRow
	Hash int64 `db:"hash"`
}

// readResources returns known if it is current, or else the current list.
func (s *Store) readResources(ctx context.Context, known *listedResources) (*listedResources, error) {
	if known != nil {
		var version resourcesVersionRow
		err := s.read(ctx, func(q Querier) (err error) {
			version, _, err = selectOne[resourcesVersionRow](ctx, q, resourcesVersionSQL)
			return err
		})
		if err != nil || version.String() == known.version {
			return known, err
		}
	}
	var rows []listedResourceRow
	err := s.read(ctx, func(q Querier) (err error) {
		rows, err = selectAll[listedResourceRow](ctx, q, listResourcesSQL)
		return err
	})
	if err != nil {
		return nil, err
	}
	version := resourcesVersionRow{N: len(rows)}
	list := &listedResources{
		all: make([]Resource, 0, len(rows)), texts: make([]string, 0, len(rows)),
		places: make(map[string]int, len(rows)),
	}
	for i, row := range rows {
		r, err := row.resource()
		if err != nil {
			return nil, err
		}
		version.Hash ^= row.Hash
		list.places[r.ID] = i
		list.all = append(list.all, r)
		list.texts = append(list.texts, strings.ToLower(r.Name+"\n"+r.Slug))
	}
	list.version = version.String()
	return list, nil
}

// resourceLists keeps the newest list. One call at a time reads the database; those that
// arrive meanwhile share the next reading, which begins after they have arrived.
type resourceLists struct {
	mu      sync.Mutex
	current *listedResources
	// coming is the next reading, which has not begun; nil if none waits.
	coming *resourceReading
	// turn is held by the reading under way.
	turn chan struct{}
}

type resourceReading struct {
	done chan struct{}
	list *listedResources
	err  error
}

// join returns the next reading, and whether the caller has to lead it.
func (l *resourceLists) join() (reading *resourceReading, leads bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.coming == nil {
		l.coming, leads = &resourceReading{done: make(chan struct{})}, true
	}
	return l.coming, leads
}

// begin keeps later calls out of the reading and returns the newest list.
func (l *resourceLists) begin() *listedResources {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.coming = nil
	return l.current
}

func (l *resourceLists) keep(list *listedResources) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = list
}

// currentResources returns a list that has every change committed before the call.
func (s *Store) currentResources(ctx context.Context) (*listedResources, error) {
	reading, leads := s.lists.join()
	if leads {
		s.leadResources(ctx, reading)
	}
	select {
	case <-reading.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if reading.err != nil && !leads {
		// The leader's context may have ended, which is no error of this call.
		return s.readResources(ctx, nil)
	}
	return reading.list, reading.err
}

func (s *Store) leadResources(ctx context.Context, reading *resourceReading) {
	defer close(reading.done)
	reading.err = errRetry // Unless it ends well, a panic included.
	select {
	case s.lists.turn <- struct{}{}:
		defer func() { <-s.lists.turn }()
	case <-ctx.Done():
		s.lists.begin()
		reading.err = ctx.Err()
		return
	}
	known := s.lists.begin()
	reading.list, reading.err = s.readResources(ctx, known)
	if reading.err == nil && reading.list != known {
		s.lists.keep(reading.list)
	}
}
