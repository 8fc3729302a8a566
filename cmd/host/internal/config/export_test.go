package config

import "reflect"

// Variables are the names of all variables that the host reads.
func Variables() []string {
	var all []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[environment]()) {
		all = append(all, field.Tag.Get("env"))
	}
	return all
}
