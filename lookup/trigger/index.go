package trigger

import (
	"cmp"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/podspec"
)

// ID names an object of any kind.
type ID struct{ Group, Kind, Namespace, Name string }

// IDOf returns what names an object.
func IDOf(object map[string]any) ID {
	group, kind := podspec.GroupKind(object)
	m, _ := object["metadata"].(map[string]any)
	id := ID{Group: group, Kind: kind}
	id.Namespace, _ = m["namespace"].(string)
	id.Name, _ = m["name"].(string)
	return id
}

// String returns kind, namespace and name: Deployment shop/web.
func (id ID) String() string { return id.Kind + " " + id.Namespace + "/" + id.Name }

// Compare orders IDs by namespace, kind, name and group, in byte order.
func (id ID) Compare(o ID) int {
	return cmp.Or(
		cmp.Compare(id.Namespace, o.Namespace), cmp.Compare(id.Kind, o.Kind), cmp.Compare(id.Name, o.Name),
		cmp.Compare(id.Group, o.Group),
	)
}

// Index knows which objects follow which tags: those that a [Planner] plans for when a tag moves. The zero Index is
// empty. It keeps the objects that it is given, which must not be changed any more, and is not for concurrent use.
type Index struct {
	objects map[ID]*entry
	streams map[imagestream.Key]*streamTags
}

// entry is an object that follows tags, or whose triggers cannot be read.
type entry struct {
	id       ID
	object   map[string]any
	triggers []Trigger
	err      error
	follows  []place
	first    [1]place // where most objects' only place is kept
	pushes   []tagKey
	*state   // a planner's; nil in an index alone
}

// place is where an object stands among the followers of a tag.
type place struct {
	tag *followers
	at  int
}

// tagKey names a tag.
type tagKey struct {
	stream imagestream.Key
	tag    string
}

func (k tagKey) String() string { return k.stream.String() + ":" + k.tag }

// streamTags are the tags of a stream that are followed.
type streamTags struct {
	key  imagestream.Key
	tags []*followers
}

// followers are the objects that follow a tag. Each knows its place, so that it can leave at once.
type followers struct {
	tagKey
	name    string // stream:tag
	objects []follower
	image   string // what the tag resolved to last
	ok      bool
}

// follower is an object, and which of its places this is.
type follower struct {
	object *entry
	n      int
}

// Set takes in an object as it is now. If its triggers cannot be read, it follows nothing, and the error is that of
// [Of].
func (x *Index) Set(object map[string]any) error {
	e := x.set(object)
	if e == nil {
		return nil
	}
	return e.err
}

// set takes in an object, and returns its entry: nil if it has no triggers.
func (x *Index) set(object map[string]any) *entry {
	id := IDOf(object)
	triggers, err := triggersOf(object, true)
	e := x.objects[id]
	if len(triggers) == 0 && err == nil {
		if e != nil {
			x.Delete(id)
		}
		return nil
	}
	if x.objects == nil {
		x.objects, x.streams = map[ID]*entry{}, map[imagestream.Key]*streamTags{}
	}
	if e == nil {
		e = &entry{id: id}
		x.objects[id] = e
	}
	e.object, e.err, e.pushes = object, err, pushes(id, object)
	if !slices.Equal(e.triggers, triggers) {
		x.unfollow(e)
		e.triggers = triggers
		x.follow(e)
	}
	return e
}

// Delete forgets an object.
func (x *Index) Delete(id ID) {
	if e := x.objects[id]; e != nil {
		x.unfollow(e)
		delete(x.objects, id)
	}
}

// follow adds an object to the followers of its tags, once to each.
func (x *Index) follow(e *entry) {
	for i := range e.triggers {
		stream, tag, ok := e.triggers[i].followed(e.id.Namespace)
		if !ok {
			continue
		}
		f := x.tag(stream, tag)
		if slices.ContainsFunc(e.follows, func(p place) bool { return p.tag == f }) {
			continue
		}
		if e.follows == nil {
			e.follows = e.first[:0]
		}
		f.objects = append(f.objects, follower{e, len(e.follows)})
		e.follows = append(e.follows, place{f, len(f.objects) - 1})
	}
}

// unfollow takes an object away from the followers of all its tags.
func (x *Index) unfollow(e *entry) {
	for _, p := range e.follows {
		f, last := p.tag, len(p.tag.objects)-1
		moved := f.objects[last]
		f.objects[p.at] = moved
		moved.object.follows[moved.n].at = p.at
		f.objects[last] = follower{}
		f.objects = f.objects[:last]
		if last == 0 {
			x.drop(f)
		}
	}
	e.follows = nil
}

// tag returns the followers of a tag, a new list if there are none yet.
func (x *Index) tag(stream imagestream.Key, tag string) *followers {
	s := x.streams[stream]
	if s == nil {
		s = &streamTags{key: stream}
		x.streams[stream] = s
	}
	for _, f := range s.tags {
		if f.tag == tag {
			return f
		}
	}
	f := &followers{tagKey: tagKey{stream, tag}, name: stream.Name + ":" + tag}
	s.tags = append(s.tags, f)
	return f
}

// drop forgets a tag that nothing follows.
func (x *Index) drop(f *followers) {
	s := x.streams[f.stream]
	s.tags = slices.DeleteFunc(s.tags, func(o *followers) bool { return o == f })
	if len(s.tags) == 0 {
		delete(x.streams, f.stream)
	}
}

// Followers returns the objects that follow a tag, sorted. What is paused follows nothing.
func (x *Index) Followers(stream imagestream.Key, tag string) []ID {
	s := x.streams[stream]
	if s == nil {
		return nil
	}
	var ids []ID
	for _, f := range s.tags {
		if f.tag == tag {
			for _, o := range f.objects {
				ids = append(ids, o.object.id)
			}
		}
	}
	slices.SortFunc(ids, ID.Compare)
	return ids
}

// Tags returns the tags of a stream that objects follow, sorted.
func (x *Index) Tags(stream imagestream.Key) []string {
	s := x.streams[stream]
	if s == nil {
		return nil
	}
	tags := make([]string, len(s.tags))
	for i, f := range s.tags {
		tags[i] = f.tag
	}
	slices.Sort(tags)
	return tags
}
