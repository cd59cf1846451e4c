package api

import (
	"encoding/json"
	"errors"
)

// zoneList is a list of zones in an answer. It is read a zone at a time: that of
// 100,000 has 30 MB.
type zoneList struct {
	zones []Zone
	// texts are those that many zones share, each kept once.
	texts map[string]string
}

// read reads all of the list. One that ends too early, or is none, is an error: it must
// never look like fewer zones.
func (l *zoneList) read(answer *json.Decoder) error {
	l.zones, l.texts = []Zone{}, make(map[string]string)
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
		zone.Kind, zone.Account, zone.Catalog = l.share(zone.Kind), l.share(zone.Account), l.share(zone.Catalog)
		zone.SOAEditAPI, zone.NSEC3Param = l.share(zone.SOAEditAPI), l.share(zone.NSEC3Param)
		for i, master := range zone.Masters {
			zone.Masters[i] = l.share(master)
		}
		l.zones = append(l.zones, zone)
	}
	_, err := answer.Token()
	return err
}

func (l *zoneList) share(text string) string {
	if shared, ok := l.texts[text]; ok {
		return shared
	}
	l.texts[text] = text
	return text
}
