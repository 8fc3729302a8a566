package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/booking-platform/booking-platform/booking"
)

const (
	// mostChoices is the number of resources up to which every booking page links to all
	// of them. With more there is a list with pages and a search.
	mostChoices = 12
	// resourcesPerPage is the size of a page of that list.
	resourcesPerPage = 30
)

// resourcesView is a page of the list of resources.
type resourcesView struct {
	page
	Items []resourceItem
	// Search is what was searched for, Total the number found.
	Search string
	Total  int
	// First and Next are links to pages; empty if there is none.
	First, Next string
}

type resourceItem struct {
	Name, Link, Length, Price string
}

// showFront shows the list of resources if there are many and none is chosen, else the
// slots of one.
func (p *Pages) showFront(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("resource") == "" {
		some, err := p.deps.Bookings.ListResources(r.Context(), booking.ResourceListOptions{Limit: 1})
		if err != nil {
			p.serverError(w, r, err)
			return
		}
		if some.Total > mostChoices {
			p.showResources(w, r, query)
			return
		}
	}
	p.showBook(w, r)
}

func (p *Pages) showResources(w http.ResponseWriter, r *http.Request, query url.Values) {
	l := languageOf(r)
	v := resourcesView{page: p.page(l, l.T("What would you like to book?")), Search: query.Get("q")}
	v.Wide = true
	found, err := p.deps.Bookings.ListResources(r.Context(), booking.ResourceListOptions{
		Limit: resourcesPerPage, After: query.Get("after"), Search: v.Search,
	})
	var invalid *booking.ValidationError
	switch {
	case errors.As(err, &invalid):
		p.render(w, http.StatusBadRequest, "message.html", messageView{
			page: p.page(l, l.T("This page does not exist")), Text: l.T("The link may be incomplete, or old."),
			Back: p.prefix + "/",
		})
		return
	case err != nil:
		p.serverError(w, r, err)
		return
	}
	v.Total = found.Total
	for _, res := range found.Resources {
		item := resourceItem{Name: res.Name, Link: p.prefix + "/?" + url.Values{"resource": {res.Slug}}.Encode(),
			Length: l.Length(res.SlotLength), Price: l.Price(res.Price)}
		if !res.Price.IsZero() && res.Capacity > 1 {
			item.Price = l.T("%s per person", item.Price)
		}
		v.Items = append(v.Items, item)
	}
	link := func(after string) string {
		values := url.Values{}
		for name, value := range map[string]string{"q": v.Search, "after": after} {
			if value != "" {
				values.Set(name, value)
			}
		}
		if len(values) == 0 {
			return p.prefix + "/"
		}
		return p.prefix + "/?" + values.Encode()
	}
	if query.Get("after") != "" {
		v.First = link("")
	}
	if found.Next != "" {
		v.Next = link(found.Next)
	}
	p.render(w, http.StatusOK, "resources.html", v)
}

// chosen returns the resource that a page is about: the one with this id or slug, or else
// the first. The others are those to link to, the first ones if there are more. It is
// not found if it cannot be booked.
func (p *Pages) chosen(ctx context.Context, idOrSlug string) (res booking.Resource, others booking.ResourcePage,
	found bool, err error) {
	others, err = p.deps.Bookings.ListResources(ctx, booking.ResourceListOptions{Limit: mostChoices})
	if err != nil || len(others.Resources) == 0 {
		return res, others, false, err
	}
	for _, res := range others.Resources {
		if idOrSlug == res.Slug || idOrSlug == res.ID {
			return res, others, true, nil
		}
	}
	if others.Total > mostChoices && idOrSlug != "" {
		res, err = p.deps.Bookings.Resource(ctx, idOrSlug)
		if err == nil && !res.Inactive || err != nil && !errors.Is(err, booking.ErrNotFound) {
			return res, others, err == nil, err
		}
	}
	return others.Resources[0], others, idOrSlug == "", nil
}
