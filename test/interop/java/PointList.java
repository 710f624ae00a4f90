// The table of points: name and what is done. Points of one phase run at the same time, in topics and groups of their own.

import java.util.LinkedHashMap;
import java.util.Map;

final class PointList {
    interface Body {
        /** Does it and gives what was observed, as a value that JSON can hold. */
        Object observe(Point point) throws Exception;
    }

    final Map<String, Body> bodies = new LinkedHashMap<>();

    void add(String name, Body body) {
        if (bodies.put(name, body) != null) throw new IllegalArgumentException("two points are named " + name);
    }
}
