package api

import (
	"encoding/json"
	"errors"
)

// zoneList is a list of zones in an answer. It is read a zone at a time: that of
// 100,000 has 30 MB.
type zoneList struct{ zones []Zone }

// read reads all of the list. One that ends too early, or is none, is an error: it must
// never look like fewer zones.
func (l *zoneList) read(answer *json.Decoder) error {
	l.zones = []Zone{}
	if t, err := answer.Token(); err != nil || t != json.Delim('[') {
		return errors.Join(errors.New("it is no list"), err)
	}
	for answer.More() {
		var z zoneJSON
		if err := answer.Decode(&z); err != nil {
			return err
		}
		zone, err := z.zone()
		if err != nil {
			return err
		}
		l.zones = append(l.zones, zone)
	}
	_, err := answer.Token()
	return err
}
