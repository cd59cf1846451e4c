package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// What each type of key is called in a fault and in the reference.
const (
	wantText     = "text"
	wantList     = `a list of texts, such as ["a", "b"]`
	wantBool     = "true or false"
	wantNumber   = "a whole number"
	wantDuration = `a duration such as "50ms", "20s" or "1h"`
)

// assign sets the key's field. raw is text when from names where it came from
// (the environment, the command line), else a value of the TOML file, whose
// type must be the key's own: a number in quotes is a fault.
func (k key) assign(raw any, from string, faults *faultList) {
	var value any
	var want string
	if from != "" {
		value, want = parse(k.field.Interface(), fmt.Sprint(raw))
	} else {
		value, want = convert(k.field.Interface(), raw)
	}
	if value != nil {
		k.field.Set(reflect.ValueOf(value))
		return
	}
	if from != "" {
		from = " (from " + from + ")"
	}
	shown := describe(raw)
	if _, text := raw.(string); text && want == wantList {
		shown = "text" // which may be a URL with a password
	}
	faults.add(k.name, "is %s%s, expected %s", shown, from, want)
}

// parse turns text into a value of field's type; nil and what was wanted when
// that is impossible.
func parse(field any, text string) (value any, want string) {
	var err error
	switch field.(type) {
	case string:
		return text, wantText
	case []string:
		list := []string{}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		return list, wantList
	case bool:
		value, err = strconv.ParseBool(text)
		want = wantBool
	case int:
		value, err = strconv.Atoi(text)
		want = wantNumber
	case time.Duration:
		value, err = time.ParseDuration(text)
		want = wantDuration
	}
	if err != nil {
		return nil, want
	}
	return value, want
}

// convert turns a TOML value into one of field's type; nil and what was wanted
// when that is impossible.
func convert(field, raw any) (value any, want string) {
	switch field.(type) {
	case string:
		return sameType[string](raw), wantText
	case bool:
		return sameType[bool](raw), wantBool
	case int:
		if number, ok := raw.(int64); ok && int64(int(number)) == number {
			return int(number), wantNumber
		}
		return nil, wantNumber
	case time.Duration:
		if text, ok := raw.(string); ok {
			return parse(field, text)
		}
		return nil, wantDuration
	}
	items, ok := raw.([]any)
	if !ok {
		return nil, wantList
	}
	list := make([]string, len(items))
	for i, item := range items {
		if list[i], ok = item.(string); !ok {
			return nil, wantList
		}
	}
	return list, wantList
}

func sameType[T any](raw any) any {
	if value, ok := raw.(T); ok {
		return value
	}
	return nil
}

// describe shows a value in a fault.
func describe(raw any) string {
	switch v := raw.(type) {
	case string:
		return strconv.Quote(v)
	case bool:
		return strconv.FormatBool(v)
	case int64, float64:
		return fmt.Sprintf("the number %v", v)
	case []any:
		return "a list"
	case map[string]any:
		return "a section"
	}
	return fmt.Sprintf("the date or time %v", raw)
}
