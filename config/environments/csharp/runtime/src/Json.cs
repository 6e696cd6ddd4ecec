using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Muon.Runtime
{
    /// <summary>As much of JSON as orders and records need.</summary>
    sealed class Json
    {
        const int Deepest = 64;

        readonly string text;
        int at;

        Json(string text)
        {
            this.text = text;
        }

        /// <summary>Dictionaries, lists, strings, doubles, booleans and null; a FormatException says where it is not JSON.</summary>
        public static object Read(string text)
        {
            var json = new Json(text);
            var value = json.Value(0);
            if (json.Peek() != '\0')
            {
                throw json.Unexpected();
            }
            return value;
        }

        public static bool IsObject(string text)
        {
            try
            {
                return Read(text) is Dictionary<string, object>;
            }
            catch (FormatException)
            {
                return false;
            }
        }

        object Value(int depth)
        {
            if (depth > Deepest)
            {
                throw new FormatException("the JSON is too deep");
            }
            switch (Peek())
            {
                case '{':
                    return Object(depth);
                case '[':
                    return List(depth);
                case '"':
                    return String();
            }
            if (Word("true"))
            {
                return true;
            }
            if (Word("false"))
            {
                return false;
            }
            return Word("null") ? null : Number();
        }

        bool Word(string word)
        {
            var found = string.CompareOrdinal(text, at, word, 0, word.Length) == 0;
            at += found ? word.Length : 0;
            return found;
        }

        object Number()
        {
            var from = at;
            while (at < text.Length && "+-.eE0123456789".IndexOf(text[at]) >= 0)
            {
                at++;
            }
            if (double.TryParse(text.Substring(from, at - from), NumberStyles.Float, CultureInfo.InvariantCulture, out var number))
            {
                return number;
            }
            at = from;
            throw Unexpected();
        }

        Dictionary<string, object> Object(int depth)
        {
            var found = new Dictionary<string, object>();
            at++;
            while (Peek() != '}')
            {
                if (found.Count > 0)
                {
                    Take(',');
                }
                if (Peek() != '"')
                {
                    throw Unexpected();
                }
                var name = String();
                Take(':');
                found[name] = Value(depth + 1);
            }
            at++;
            return found;
        }

        List<object> List(int depth)
        {
            var found = new List<object>();
            at++;
            while (Peek() != ']')
            {
                if (found.Count > 0)
                {
                    Take(',');
                }
                found.Add(Value(depth + 1));
            }
            at++;
            return found;
        }

        string String()
        {
            var found = new StringBuilder();
            for (at++; at < text.Length; at++)
            {
                var one = text[at];
                if (one == '"')
                {
                    at++;
                    return found.ToString();
                }
                found.Append(one == '\\' ? Escaped() : one);
            }
            throw Unexpected();
        }

        char Escaped()
        {
            at++;
            var which = at < text.Length ? "\"\\/bfnrt".IndexOf(text[at]) : -1;
            if (which >= 0)
            {
                return "\"\\/\b\f\n\r\t"[which];
            }
            if (at + 4 < text.Length && text[at] == 'u'
                && ushort.TryParse(text.Substring(at + 1, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var unit))
            {
                at += 4;
                return (char)unit;
            }
            throw Unexpected();
        }

        /// <summary>The next character that is no space; NUL at the end.</summary>
        char Peek()
        {
            while (at < text.Length && " \t\r\n".IndexOf(text[at]) >= 0)
            {
                at++;
            }
            return at < text.Length ? text[at] : '\0';
        }

        void Take(char wanted)
        {
            if (Peek() != wanted)
            {
                throw Unexpected();
            }
            at++;
        }

        FormatException Unexpected()
        {
            return new FormatException($"the body is not JSON: character {at + 1} is not expected");
        }

        /// <summary>An object of texts, numbers, booleans and nulls, in the given order.</summary>
        public static string Write(IEnumerable<KeyValuePair<string, object>> fields)
        {
            var to = new StringBuilder("{");
            foreach (var field in fields)
            {
                to.Append(to.Length == 1 ? "" : ",");
                Quote(to, field.Key);
                to.Append(':');
                if (field.Value is string text)
                {
                    Quote(to, text);
                }
                else
                {
                    to.Append(field.Value == null ? "null" : Convert.ToString(field.Value, CultureInfo.InvariantCulture).ToLowerInvariant());
                }
            }
            return to.Append('}').ToString();
        }

        static void Quote(StringBuilder to, string text)
        {
            to.Append('"');
            foreach (var one in text)
            {
                if (one == '"' || one == '\\')
                {
                    to.Append('\\').Append(one);
                }
                else if (one < ' ' || one == '\u007f' || char.IsSurrogate(one))
                {
                    to.Append("\\u").Append(((int)one).ToString("x4", CultureInfo.InvariantCulture));
                }
                else
                {
                    to.Append(one);
                }
            }
            to.Append('"');
        }
    }
}
