package pages

import (
	"strconv"

	"github.com/booking-platform/booking-platform/booking"
)

// choose finds the offer that was asked for; what is not among those that are sold is the
// resource's own slot.
func (v *bookView) choose(at *ask) booking.Offer {
	for _, o := range v.Resource.Offers {
		if o.Slug == v.Form.Offer && !o.Inactive {
			at.offer = o.Slug
			return o
		}
	}
	return booking.Offer{Name: v.Resource.Name, SlotLength: v.Resource.SlotLength, Price: v.Resource.Price}
}

// describe says what is sold and what it costs, for one and for the party. The form that
// follows sends what is shown.
func (v *bookView) describe(at ask, o booking.Offer) {
	v.Length, v.Price, v.Free = length(o.SlotLength), amount(o.Price), o.Price.IsZero()
	switch {
	case v.Free:
		v.Price = "Free of charge"
	case v.Resource.Capacity > 1:
		v.Price += " per person"
	}
	if at.party > 1 {
		v.Total = strconv.Itoa(at.party) + " people"
		if !v.Free {
			// A party is no larger than the capacity, for which the price was checked.
			v.Total += ", " + amount(booking.Money{Minor: o.Price.Minor * int64(at.party), Currency: o.Price.Currency})
		}
	}
	v.From = at.from.String()
	v.Form.Offer, v.Form.Party = at.offer, strconv.Itoa(at.party)
}

// link makes the links beside the week: to other resources, offers and parties.
func (v *bookView) link(at ask, all []booking.Resource) {
	if len(all) > 1 {
		for _, res := range all {
			other := ask{resource: res.Slug, party: min(at.party, res.Capacity), from: at.from}
			v.Others = append(v.Others, choice{res.Name, other.link(), res.ID == v.Resource.ID})
		}
	}
	other := at
	other.offer = ""
	v.Offers = []choice{{length(v.Resource.SlotLength), other.link(), at.offer == ""}}
	for _, o := range v.Resource.Offers {
		if !o.Inactive {
			other.offer = o.Slug
			v.Offers = append(v.Offers, choice{o.Name, other.link(), at.offer == o.Slug})
		}
	}
	if len(v.Offers) == 1 {
		v.Offers = nil
	}
	if v.Resource.Capacity > 1 {
		for n := 1; n <= min(v.Resource.Capacity, maxNumbers); n++ {
			other := at
			other.party = n
			v.Parties = append(v.Parties, choice{strconv.Itoa(n), other.link(), n == at.party})
		}
	}
	v.More = v.Resource.Capacity > maxNumbers
}
