package config

import (
	"reflect"
	"strings"
)

// key is one key of the configuration and the field that holds it.
type key struct {
	name  string // section.key
	field reflect.Value
}

// env is the key's environment variable.
func (k key) env() string {
	return envPrefix + "_" + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// keysOf lists the keys of conf in the order of its fields.
func keysOf(conf *Config) []key {
	var keys []key
	root := reflect.ValueOf(conf).Elem()
	for i := range root.NumField() {
		section := root.Type().Field(i).Tag.Get("mapstructure")
		if section == "-" {
			continue
		}
		for j := range root.Field(i).NumField() {
			if name := root.Field(i).Type().Field(j).Tag.Get("mapstructure"); name != "-" {
				keys = append(keys, key{name: section + "." + name, field: root.Field(i).Field(j)})
			}
		}
	}
	return keys
}

func find(keys []key, name string) *key {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	return nil
}

func names(keys []key) []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.name
	}
	return list
}
