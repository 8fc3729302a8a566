package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// resourceList is all resources, or with limit, after or q a page of them.
type resourceList struct {
	Items []Resource        `json:"items"`
	Meta  *resourceListMeta `json:"meta,omitempty"`
}

type resourceListMeta struct {
	// Count is the number of items on this page, Total on all pages.
	Count int `json:"count"`
	Total int `json:"total"`
	// Next is the value of after for the next page; absent on the last.
	Next string `json:"next,omitempty"`
}

// wholeList is the answer without parameters, as it was encoded for a version.
type wholeList struct {
	version string
	body    []byte
}

// resources lists the resources. The answer has an ETag of the version of all of them.
func (a *API) resources(w http.ResponseWriter, r *http.Request) {
	list, err := a.encodedResources(r)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	// A new build may encode the same resources differently.
	sum := sha256.Sum256([]byte(list.version + "\n" + a.opts.Version))
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(list.body))
}

func (a *API) encodedResources(r *http.Request) (*wholeList, error) {
	values := r.URL.Query()
	if values.Has("limit") || values.Has("after") || values.Has("q") {
		return a.resourcePage(r, values)
	}
	version, err := a.deps.Bookings.ResourcesVersion(r.Context())
	if err != nil {
		return nil, err
	}
	if list := a.whole.Load(); list != nil && list.version == version {
		return list, nil
	}
	page, err := a.deps.Bookings.ListResources(r.Context(), booking.ResourceListOptions{})
	if err != nil {
		return nil, err
	}
	list, err := encodeResources(page, false)
	if err != nil {
		return nil, err
	}
	a.whole.Store(list)
	return list, nil
}

func (a *API) resourcePage(r *http.Request, values url.Values) (*wholeList, error) {
	limit, err := readLimit(values)
	if err != nil {
		return nil, err
	}
	page, err := a.deps.Bookings.ListResources(r.Context(),
		booking.ResourceListOptions{Limit: limit, After: values.Get("after"), Search: values.Get("q")})
	var invalid *booking.ValidationError
	if errors.As(err, &invalid) && invalid.Fields["search"] != "" {
		// By the name of the parameter.
		invalid.Fields["q"] = invalid.Fields["search"]
		delete(invalid.Fields, "search")
	}
	if err != nil {
		return nil, err
	}
	return encodeResources(page, true)
}

func encodeResources(page booking.ResourcePage, paged bool) (*wholeList, error) {
	answer := resourceList{Items: make([]Resource, 0, len(page.Resources))}
	for _, res := range page.Resources {
		answer.Items = append(answer.Items, ResourceOf(res))
	}
	if paged {
		answer.Meta = &resourceListMeta{Count: len(answer.Items), Total: page.Total, Next: page.Next}
	}
	body, err := json.Marshal(answer)
	return &wholeList{page.Version, body}, err
}
